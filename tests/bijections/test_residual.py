# SPDX-License-Identifier: Apache-2.0
"""Residual flows: against matrices, whose inverse and determinant are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.bijections import (
    fixed_point,
    log_det_series,
    residual,
    residual_inverse,
    series_bound,
)

RNG, D, C = np.random.default_rng(0), 5, 0.9


def linear(x, params, context):
    return params @ x if context is None else params @ x + context


def bent(x, params, context):
    return params @ jnp.tanh(x)


def contraction(size=C):
    """A matrix whose largest singular value is `size`."""
    a = RNG.normal(size=(D, D))
    return jnp.asarray(size * a / np.linalg.norm(a, 2))


def test_a_linear_residual_is_its_matrix(x64):
    """y = (I + A) x + t, det(I + A), and back."""
    a, x, t = contraction(), RNG.normal(size=(2, 3, D)), RNG.normal(size=(2, 3, D))
    whole = np.eye(D) + np.asarray(a)
    options = {"g": linear, "lipschitz": C}
    y, log_det = jax.jit(partial(residual, **options))(jnp.asarray(x), a, jnp.asarray(t))
    np.testing.assert_allclose(y, x @ whole.T + t, rtol=1e-12)
    np.testing.assert_allclose(log_det, np.full((2, 3), np.linalg.slogdet(whole)[1]), rtol=1e-12)
    back, log_back = jax.jit(partial(residual_inverse, **options))(y, a, jnp.asarray(t))
    np.testing.assert_allclose(back, x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_back, -log_det, rtol=1e-12)


def test_the_iteration_ends_where_the_bound_says():
    """At c = 0.99 in single precision too, and for numbers far out."""
    a = jnp.asarray(contraction(0.99), jnp.float32)
    y = jnp.asarray(RNG.normal(size=(7, D)) * np.logspace(-3, 4, 7)[:, None], jnp.float32)
    x = residual_inverse(y, a, g=linear, lipschitz=0.99)[0]
    expected = np.linalg.solve(np.eye(D) + np.asarray(a, float), np.asarray(y, float).T).T
    scale = np.abs(expected).max(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(x) / scale, expected / scale, atol=2e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_the_implicit_function(order, x64):
    """Of x and of log-determinants in y and the parameters, forward and reverse."""
    a, y = 0.7 * contraction(), jnp.asarray(RNG.normal(size=D))

    def both(y, a):
        x, log_det = residual_inverse(y, a, g=bent, lipschitz=C)
        return x, log_det

    check_grads(jax.jit(both), (y, a), order=order, rtol=1e-5, atol=1e-6)


def test_derivatives_hold_inside_scan(x64):
    """Where forward over reverse differentiates the body of the iteration."""
    a, y = 0.7 * contraction(), jnp.asarray(RNG.normal(size=D))

    def once(a, y):
        return jnp.sum(jnp.sin(fixed_point(bent, C, y, a, None)))

    def scanned(a, y):
        return jax.lax.scan(lambda total, _: (total + once(a, y), None), 0.0, None, length=1)[0]

    direction = jnp.asarray(RNG.normal(size=a.shape))
    second = [jax.jvp(jax.grad(f), (a, y), (direction, y))[1] for f in (once, scanned)]
    np.testing.assert_allclose(*second, rtol=1e-10)


@pytest.mark.parametrize("n_terms", [1, 4, 12])
def test_the_series_is_within_its_bound(n_terms, x64):
    """Signs in all corners average to the trace of the truncated series, exactly."""
    a = contraction()
    corners = 2.0 * ((np.arange(2**D)[:, None] >> np.arange(D)) % 2) - 1

    @jax.vmap
    def estimate(noise):
        return log_det_series(lambda x: a @ x, jnp.ones(D), noise, n_terms)[1]

    found, powers, series = float(estimate(jnp.asarray(corners)).mean()), np.eye(D), 0.0
    for k in range(1, n_terms + 1):
        powers = powers @ np.asarray(a)
        series += (-1) ** (k + 1) * np.trace(powers) / k
    np.testing.assert_allclose(found, series, rtol=1e-10)
    exact = np.linalg.slogdet(np.eye(D) + np.asarray(a))[1]
    assert abs(found - exact) <= series_bound(n_terms, D, C)


def test_the_bound_is_reached_by_the_worst_matrix(x64):
    """J = −c I: every term has the same sign."""
    n = 6
    _, found = log_det_series(lambda x: -C * x, jnp.ones(D), jnp.ones(D), n)
    gap = float(found) - D * np.log1p(-C)
    np.testing.assert_allclose(gap, series_bound(n, D, C), rtol=1e-12)
    assert series_bound(400, D, C) < 1e-15


def test_what_is_no_contraction_is_refused():
    x, a = jnp.ones(D), jnp.zeros((D, D))
    for c in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="lipschitz"):
            residual(x, a, g=linear, lipschitz=c)
    with pytest.raises(ValueError, match="shape of x"):
        residual(x, a[:2], g=linear, lipschitz=0.5)
