# SPDX-License-Identifier: Apache-2.0
"""Couplings of a batch against SciPy's assignment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from jaxml.diffusion import coupling


@pytest.mark.parametrize("n", [1, 2, 5, 40, 128])
@pytest.mark.parametrize("kind", ["uniform", "squares", "ties"])
def test_an_auction_finds_the_best_permutation(n, kind):
    """A permutation whose cost is at most n ε spreads above that of SciPy's."""
    rng, tolerance = np.random.default_rng(n), 1e-3
    a, b = rng.normal(size=(2, n, 3))
    cost = {
        "uniform": rng.random((n, n)),
        "squares": ((a[:, None] - b[None]) ** 2).sum(2),
        "ties": rng.integers(0, 3, (n, n)).astype(float),
    }[kind]
    found = np.asarray(jax.jit(coupling.assignment, static_argnums=1)(
        jnp.asarray(cost, jnp.float32), tolerance))  # fmt: skip
    np.testing.assert_array_equal(np.sort(found), np.arange(n))
    best = cost[linear_sum_assignment(cost)].sum()
    slack = n * tolerance * cost.std() + 1e-4
    assert cost[np.arange(n), found].sum() <= best + slack


def test_equal_costs_have_an_end():
    """Where everything costs the same, any permutation, and no endless bidding."""
    found = coupling.assignment(jnp.ones((7, 7)))
    np.testing.assert_array_equal(np.sort(found), np.arange(7))
    with pytest.raises(ValueError, match="tolerance"):
        coupling.assignment(jnp.ones((2, 2)), 0.0)


def test_a_coupling_orders_the_noise_and_keeps_it():
    """Paths become shorter, every draw stays, and in one dimension both are sorted alike."""
    rng = np.random.default_rng(0)
    x, eps = (jnp.asarray(rng.normal(size=(64, 2, 3)), jnp.float32) for _ in range(2))
    found = jax.jit(coupling.optimal_transport)(x, eps)
    rows = [np.sort(np.asarray(a).reshape(64, -1), axis=0) for a in (found, eps)]
    np.testing.assert_array_equal(*rows)
    ways = [float(jnp.sum(jnp.square(x - a))) for a in (eps, found)]
    assert ways[1] < 0.8 * ways[0]
    np.testing.assert_array_equal(coupling.independent(x, eps), eps)
    line, noise = x[:, 0, :1], eps[:, 0, :1]
    ordered = coupling.optimal_transport(line, noise)
    best = np.sum((np.sort(line, axis=0) - np.sort(noise, axis=0)) ** 2)
    assert float(jnp.sum(jnp.square(line - ordered))) <= best + 64 * 1e-3 * 2 * 3
