# SPDX-License-Identifier: Apache-2.0
"""Every bijection is the same under every transformation, slopes too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.bijections.case import CASES, draws

N_EXAMPLES = 3


def some(dtype):
    """A few ordinary events and parameters of every bijection."""
    found = {}
    for name, case in CASES.items():
        x, params = draws(case, dtype)
        found[name] = jax.tree.map(lambda a: a[-N_EXAMPLES:], (x, params))
    return found


def both_ways(inputs):
    """Of one event of each: image and log-determinant, there and back."""
    found = {}
    for name, (x, params) in inputs.items():
        forward, inverse, _ = CASES[name].bijection
        y, log_det = forward(x, params)
        found[name] = y, log_det, *inverse(y, params)
    return found


def slopes(inputs):
    """Of the sum of all that, in every floating argument."""
    leaves, structure = jax.tree.flatten(inputs)
    real = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def total(moving):
        changed = list(leaves)
        for i, leaf in zip(real, moving, strict=True):
            changed[i] = leaf
        values = both_ways(jax.tree.unflatten(structure, changed))
        return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(values))

    return jax.grad(total)([leaves[i] for i in real])


@pytest.mark.parametrize(
    ("f", "dtype", "tol"),
    [
        (both_ways, "f8", 1e-12),
        pytest.param(both_ways, "f4", 1e-5, marks=pytest.mark.slow),
        pytest.param(slopes, "f8", 1e-11, marks=pytest.mark.slow),
    ],
)
def test_bijections_are_the_same_under_every_transformation(f, dtype, tol, x64):
    """One event after another, under vmap, with checkpoint inside scan."""
    inputs = some(dtype)

    def scanned(inputs):
        return jax.lax.scan(lambda c, one: (c, jax.checkpoint(f)(one)), 0, inputs)[1]

    one = jax.jit(f)
    examples = [one(jax.tree.map(lambda a, i=i: a[i], inputs)) for i in range(N_EXAMPLES)]
    truth = jax.tree.map(lambda *leaves: np.stack(leaves), *examples)
    for transformed in (jax.vmap(f), scanned):
        got = jax.jit(transformed)(inputs)
        for mine, other in zip(jax.tree.leaves(got), jax.tree.leaves(truth), strict=True):
            assert mine.dtype == other.dtype == dtype
            np.testing.assert_allclose(mine, other, rtol=tol, atol=tol)


@pytest.mark.slow
def test_bijections_are_the_same_without_jit(x64):
    inputs = jax.tree.map(lambda a: a[0], some("f8"))
    truth = jax.jit(both_ways)(inputs)
    for mine, other in zip(jax.tree.leaves(both_ways(inputs)), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)
