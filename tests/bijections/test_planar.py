# SPDX-License-Identifier: Apache-2.0
"""Planar and radial flows against the formulas of their paper."""

import jax.numpy as jnp
import numpy as np

from jaxml.bijections import Planar, Radial, planar, radial

RNG = np.random.default_rng(0)


def test_planar_is_the_formula_where_no_constraint_is_needed(x64):
    """wᵀu ≥ 0: y = x + u tanh(wᵀx + b), determinant 1 + uᵀψ, ψ = (1 − tanh²) w."""
    x, w, u = RNG.normal(size=(5, 3)), RNG.normal(size=3), RNG.normal(size=3)
    u = u * np.sign(w @ u)
    y, log_det = planar(jnp.asarray(x), Planar(*map(jnp.asarray, (w, u, 0.3))))
    h = np.tanh(x @ w + 0.3)
    np.testing.assert_allclose(y, x + h[:, None] * u, rtol=1e-12)
    np.testing.assert_allclose(log_det, np.log1p((1 - h**2) * (w @ u)), rtol=1e-12)


def test_planar_stays_invertible_and_smooth(x64):
    """wᵀû > −1 for any u; no jump where the constraint begins, nor at w = 0."""
    w = jnp.asarray([2.0, -1.0])
    for size in (0.1, 1.0, 30.0):
        x = jnp.zeros((1, 2))
        y, log_det = planar(x, Planar(w, -size * w, jnp.asarray(0.2)))
        along = float((y - x)[0] @ w / np.tanh(0.2))
        assert -1 <= along < 0
        assert np.isfinite(log_det).all()
    y, log_det = planar(jnp.ones((1, 2)), Planar(1e-9 * w, -1e3 * w, jnp.asarray(0.2)))
    np.testing.assert_allclose(y, 1 - 1e3 * w[None] * np.tanh(0.2), rtol=1e-5)
    for zero in (Planar(w, 0 * w, jnp.asarray(0.2)), Planar(0 * w, 0 * w, jnp.asarray(0.2))):
        y, log_det = planar(jnp.ones((1, 2)), zero)
        np.testing.assert_array_equal(y, 1)
        np.testing.assert_array_equal(log_det, 0)


def test_radial_is_the_formula(x64):
    """y = x + βh(x − c) and (1 + βh)^(D−1) (1 + βh + βh′r), h′ = −1/(α + r)²."""
    x, c = RNG.normal(size=(5, 3)), RNG.normal(size=3)
    y, log_det = radial(jnp.asarray(x), Radial(*map(jnp.asarray, (c, 0.4, -0.7))))
    alpha = np.log1p(np.exp(0.4))
    beta = alpha * np.expm1(-0.7)
    r = np.linalg.norm(x - c, axis=1)
    h = 1 / (alpha + r)
    np.testing.assert_allclose(y, x + (beta * h)[:, None] * (x - c), rtol=1e-12)
    expected = 2 * np.log1p(beta * h) + np.log1p(beta * h - beta * r * h**2)
    np.testing.assert_allclose(log_det, expected, rtol=1e-12)
    same, log_det = radial(jnp.asarray(x), Radial(*map(jnp.asarray, (c, 0.4, 0.0))))
    np.testing.assert_allclose(same, x, rtol=1e-14)
    np.testing.assert_allclose(log_det, 0, atol=1e-14)
