# SPDX-License-Identifier: Apache-2.0
"""Roots and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.bijections.root import bent_root, root


def cubic(x, a):
    return a * x**3 + x


@pytest.mark.parametrize("y", [0.0, 1e-6, -3.0, 1e9])
def test_the_root_of_a_cubic_to_the_last_digits(y, x64):
    """Ends at ±1, from which 1e9 is far."""
    one, a, y = jnp.ones(1), jnp.full(1, 0.7), jnp.full(1, y)
    x = root(cubic, y, (a,), -one, one)
    np.testing.assert_allclose(cubic(x, a), y, rtol=1e-14, atol=1e-20)


def test_derivatives_are_those_of_the_implicit_function(x64):
    """In y and in the parameter: x″ = −f″/f′³, and ∂x/∂a = −y³ at a = 0, where the root is y."""

    def solve(y, a):
        y, a = jnp.asarray(y), jnp.asarray(a)
        one = jnp.ones_like(y)
        return root(cubic, y, (a,), -one, one)

    y, a = jnp.asarray([0.3, -2.0]), jnp.asarray([0.5, 0.1])
    check_grads(solve, (y, a), order=1, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6)
    x = np.asarray(solve(y, a))
    second = jax.vmap(jax.grad(jax.grad(lambda y, a: solve(y[None], a[None])[0])))(y, a)
    np.testing.assert_allclose(second, -6 * a * x / (1 + 3 * a * x**2) ** 3, rtol=1e-10)
    slope = jax.grad(lambda a: solve(y, a).sum())(jnp.zeros(2))
    np.testing.assert_allclose(slope, -(y**3), rtol=1e-12)


def test_a_bend_almost_flat(x64):
    """x + m tanh(x) = y with m → −1 has a triple root at 0: x ≈ (3y)^⅓."""
    y = jnp.asarray([1e-6, -1e-3])
    x = bent_root(y, jnp.full(2, -1 + 1e-12), jnp.ones(2), jnp.zeros(2))
    np.testing.assert_allclose(x - jnp.tanh(x), y, rtol=1e-5)
    np.testing.assert_allclose(x, np.cbrt(3 * y), rtol=1e-2)


def test_nan_is_not_hidden():
    one = jnp.ones(2)
    x = root(cubic, jnp.asarray([jnp.nan, 2.0]), (one,), -one, one)
    np.testing.assert_allclose(x[1], 1.0, rtol=1e-6)
    assert not np.isfinite(x[0])


def test_the_rule_and_the_body_have_the_same_derivatives(x64):
    """Forward over reverse inside `scan` reads the body: to second order as outside."""

    def solve(y):
        one = jnp.ones_like(y)
        return root(cubic, y, (0.7 * one,), -one, one).sum()

    def scanned(y):
        return jax.lax.scan(lambda c, one: (c + solve(one[None]), None), 0.0 * y[0], y)[0]

    y, v = jnp.asarray([0.4, -1.3]), jnp.asarray([1.0, 0.5])

    def along(f, y):
        return jax.jvp(jax.value_and_grad(f), (y,), (v,))

    (value, slope), (first, second) = along(solve, y)
    for found, expected in zip(
        jax.tree.leaves(along(scanned, y)), (value, slope, first, second), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    twice = jax.jvp(lambda y: along(scanned, y)[1][0], (y,), (v,))[1]
    np.testing.assert_allclose(twice, jnp.vdot(second, v), rtol=1e-8)
