# SPDX-License-Identifier: Apache-2.0
"""Sylvester flows against the matrix formula."""

import jax.numpy as jnp
import numpy as np

from jaxml.bijections import Planar, Sylvester, orthonormal, planar, sylvester

RNG, D, M = np.random.default_rng(0), 5, 3


def test_reflections_give_orthonormal_columns(x64):
    """QᵀQ = I; with D reflections no direction is out of reach; a vector of zeros does nothing."""
    vectors = jnp.asarray(RNG.normal(size=(4, D)))
    q = orthonormal(vectors, M)
    np.testing.assert_allclose(q.T @ q, np.eye(M), atol=1e-14)
    whole = np.eye(D)
    for v in np.asarray(vectors):
        whole = whole @ (np.eye(D) - 2 * np.outer(v, v) / (v @ v))
    np.testing.assert_allclose(q, whole[:, :M], atol=1e-14)
    np.testing.assert_array_equal(orthonormal(0 * vectors, M), np.eye(D, M))


def test_it_is_the_matrix_formula(x64):
    """y = x + Q R tanh(R̃ Qᵀx + b), the determinant that of the D × D Jacobian."""
    params = Sylvester(
        *(jnp.asarray(RNG.normal(size=s)) for s in ((D, D), (M, M), (M, M), M, M, M))
    )
    x = RNG.normal(size=(4, D))
    q = np.asarray(orthonormal(params.reflections, M))
    outer = np.triu(params.outer, 1) + np.diag(np.tanh(params.outer_diagonal))
    inner = np.triu(params.inner, 1) + np.diag(np.tanh(params.inner_diagonal))
    y, log_det = sylvester(jnp.asarray(x), params)
    for i in range(4):
        h = np.tanh(inner @ q.T @ x[i] + params.offset)
        np.testing.assert_allclose(y[i], x[i] + q @ outer @ h, rtol=1e-12, atol=1e-13)
        jacobian = np.eye(D) + q @ outer @ np.diag(1 - h**2) @ inner @ q.T
        np.testing.assert_allclose(log_det[i], np.linalg.slogdet(jacobian)[1], atol=1e-12)


def test_of_one_direction_it_is_planar(x64):
    """M = 1: u = q r, w = q r̃."""
    one = jnp.zeros((1, 1))
    params = Sylvester(
        jnp.asarray(RNG.normal(size=(2, D))), one, one, jnp.ones(1), jnp.full(1, 0.5), jnp.ones(1)
    )
    q = orthonormal(params.reflections, 1)[:, 0]
    x = jnp.asarray(RNG.normal(size=(4, D)))
    same = planar(x, Planar(q * np.tanh(0.5), q * np.tanh(1.0), jnp.asarray(1.0)))
    for mine, other in zip(sylvester(x, params), same, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)
