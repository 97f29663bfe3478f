# SPDX-License-Identifier: Apache-2.0
"""Quadratic features: every product once, and so every quadratic form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import quadratic_features


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_linear_map_of_them_is_any_quadratic_form(d, x64):
    """xᵀAx = Σ_{i ≤ j} (Aᵢⱼ + Aⱼᵢ (i ≠ j)) xᵢxⱼ, and its gradient (A + Aᵀ)x."""
    rng = np.random.default_rng(d)
    x, A = rng.normal(size=(2, 7, d)), rng.normal(size=(d, d))
    weights = np.array([A[i, j] + A[j, i] * (i != j) for i in range(d) for j in range(i, d)])

    def form(x):
        return quadratic_features(x) @ weights

    value = jax.jit(form)(jnp.asarray(x))
    np.testing.assert_allclose(value, np.einsum("abi,ij,abj->ab", x, A, x), rtol=1e-11)
    slope = jax.jit(jax.vmap(jax.vmap(jax.grad(form))))(jnp.asarray(x))
    np.testing.assert_allclose(slope, x @ (A + A.T), rtol=1e-11, atol=1e-12)


def test_squares_alone_hold_no_products(x64):
    """Least squares for x₁x₂: the squares leave all of it, the quadratic features nothing."""
    x = np.array(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0])).reshape(2, -1).T
    y = x[:, 0] * x[:, 1]
    for features, left in (
        (x * x, np.sum(y**2)),
        (np.asarray(quadratic_features(jnp.asarray(x))), 0.0),
    ):
        design = np.hstack([np.ones((9, 1)), x, features])
        residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        np.testing.assert_allclose(np.sum(residual**2), left, atol=1e-25)
