# SPDX-License-Identifier: Apache-2.0
"""Linear maps: the matrix, its factors, and where both begin."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.bijections import Triangular, actnorm, affine, linear, lu_linear, lu_rotation

RNG, D = np.random.default_rng(0), 5


def test_factors_are_those_of_the_matrix(x64):
    """W = P L (U + diag(±e^s)) as one product of matrices."""
    order = RNG.permutation(D)
    sign = np.asarray([1.0, -1, -1, 1, 1])
    lower, upper, s = RNG.normal(size=(D, D)), RNG.normal(size=(D, D)), RNG.normal(size=D)
    params = Triangular(*map(jnp.asarray, (lower, upper, s, sign, order)))
    weight = np.eye(D)[order] @ (np.tril(lower, -1) + np.eye(D))
    weight = weight @ (np.triu(upper, 1) + np.diag(sign * np.exp(s)))
    x = jnp.asarray(RNG.normal(size=(2, 3, D)))
    for mine, other in zip(lu_linear(x, params), linear(x, jnp.asarray(weight)), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-12)


def test_glow_begins_with_a_rotation(x64):
    """Of any size, lengths are kept and the log-determinant is 0."""
    params = lu_rotation(jax.random.key(0), D)
    weight = lu_linear(jnp.eye(D), params)[0].T
    np.testing.assert_allclose(weight @ weight.T, np.eye(D), atol=1e-13)
    np.testing.assert_allclose(lu_linear(jnp.ones((1, D)), params)[1], 0, atol=1e-13)


def test_actnorm_normalizes_its_first_batch(x64):
    """Mean 0 and variance 1 in every channel; a constant channel stays finite."""
    x = jnp.asarray(3 * RNG.normal(size=(8, 4, 4, 3)) + 5)
    y, _ = affine(x, actnorm(x, axes=(0, 1, 2), eps=0.0))
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, rtol=1e-12)
    assert all(np.isfinite(p).all() for p in actnorm(jnp.full((4, 2), 7.0)))
