# SPDX-License-Identifier: Apache-2.0
"""Contrastive costs: optima in closed form or by quadrature, extremes, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.losses import contrastive

GRID = np.linspace(-12, 12, 4001)
STEP = GRID[1] - GRID[0]


def normal(x, variance):
    return -0.5 * x**2 / variance - 0.5 * np.log(2 * np.pi * variance)


def test_energies_of_equal_moments_leave_no_gradient(x64):
    """E = ½xᵀAx at data and draws of one covariance: stationary to 1e-10, for any A."""
    rng = np.random.default_rng(0)
    x, other = (a - a.mean(0) for a in rng.normal(size=(2, 50, 3)))
    root = np.linalg.cholesky(np.cov(x.T)) @ np.linalg.inv(np.linalg.cholesky(np.cov(other.T)))
    fake = jnp.asarray(other @ root.T)

    def cost(A, x, fake):
        energies = [0.5 * jnp.sum(a @ A * a, axis=1) for a in (x, fake)]
        return jnp.mean(contrastive.contrastive_divergence(*energies))

    A = jnp.asarray(np.diag([1.0, 2.0, 3.0]))
    slope = jax.grad(cost)
    np.testing.assert_allclose(slope(A, jnp.asarray(x), fake), 0, atol=1e-10)
    # The sign: draws that are too wide make the precision grow under descent.
    assert (np.diag(slope(A, jnp.asarray(x), 2 * fake)) < 0).all()


def test_the_penalty_is_the_sum_of_both_squares():
    real, fake = jnp.asarray([1.0, -2.0]), jnp.asarray([3.0, 0.5])
    np.testing.assert_allclose(contrastive.magnitude(real, fake), [10, 4.25])
    np.testing.assert_allclose(contrastive.contrastive_divergence(real, fake), [-2, -2.5])


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_noise_contrast_is_stationary_at_the_normalized_density(ratio, x64):
    """By quadrature: both slopes vanish to 1e-10 at a = 1/σ² and the true log Z, only there."""
    data, noise = np.exp(normal(GRID, 0.7)), np.exp(normal(GRID, 2.0))

    def cost(a, log_z):
        gap = -0.5 * a * GRID**2 - log_z - normal(GRID, 2.0)
        zero = jnp.zeros_like(gap)
        real = contrastive.noise_contrastive(gap, zero - 1e4, ratio=ratio)
        fake = contrastive.noise_contrastive(zero + 1e4, gap, ratio=ratio)
        return jnp.sum((real * data + fake * noise) * STEP)

    slope = jax.jit(jax.grad(cost, (0, 1)))
    log_z = 0.5 * np.log(2 * np.pi * 0.7)
    np.testing.assert_allclose(slope(1 / 0.7, log_z), 0, atol=1e-10)
    assert abs(slope(1 / 0.7, log_z + 0.1)[1]) > 0.01
    assert abs(slope(1.1 / 0.7, log_z)[0]) > 0.01


def test_noise_contrast_is_a_cross_entropy(x64):
    """−log σ(G − log ν) − ν log σ(log ν − G̃) by NumPy, and 2 log 2 where nothing can be told."""
    real, fake = np.random.default_rng(0).normal(size=(2, 5)) * 3
    nu = 2.5
    expected = np.log1p(nu * np.exp(-real)) + nu * np.log1p(np.exp(fake) / nu)
    found = contrastive.noise_contrastive(jnp.asarray(real), jnp.asarray(fake), ratio=nu)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    even = contrastive.noise_contrastive(jnp.zeros(1), jnp.zeros(1))
    np.testing.assert_allclose(even, 2 * np.log(2), rtol=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_extremes_are_finite_and_bad_input_is_not_hidden(dtype):
    """Energies and log-ratios in ±{0, 1, 20, 89, 1e4}; costs are in float32."""
    edges = np.array([s * v for v in (0.0, 1.0, 20.0, 89.0, 1e4) for s in (1, -1)])
    real, fake = (jnp.asarray(a.ravel(), dtype) for a in np.meshgrid(edges, edges))
    for loss in (contrastive.contrastive_divergence, contrastive.magnitude,
                 contrastive.noise_contrastive):  # fmt: skip
        value = loss(real, fake)
        assert value.dtype == jnp.float32
        assert np.isfinite(value).all()
        slope = jax.grad(lambda r, f, loss=loss: loss(r, f).sum(), (0, 1))(real, fake)
        assert all(np.isfinite(np.asarray(s, np.float32)).all() for s in slope)
        for place in ((jnp.nan, 0.0), (0.0, jnp.nan)):
            assert np.isnan(loss(*(jnp.asarray([p], dtype) for p in place))).all()


def test_a_ratio_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="ratio"):
        contrastive.noise_contrastive(jnp.zeros(1), jnp.zeros(1), ratio=0.0)
