# SPDX-License-Identifier: Apache-2.0
"""Integers and densities: the bound on the mass, and the pixel that comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxml.bijections import dequantize, quantize, uniform_noise


def test_the_pixel_comes_back_and_noise_is_uniform():
    """⌊256 y⌋ = x for every 8-bit x and all noise, in single precision; χ² over 64 bins."""
    x = jnp.tile(jnp.arange(256, dtype=jnp.uint8), 512)
    u = uniform_noise(x, jax.random.key(0))
    y, log_slope = dequantize(x, u, 256)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(quantize(y, 256), x)
    assert y.min() > 0
    assert y.max() < 1
    np.testing.assert_allclose(log_slope, -np.log(256), rtol=1e-6)
    counts = np.bincount((np.asarray(u) * 64).astype(int), minlength=64)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    top = dequantize(jnp.full(1, 255, jnp.uint8), jnp.full(1, 1 - 2.0**-16), 256)[0]
    assert float(top[0]) < 1


def test_the_bound_is_below_the_mass_and_tight_for_its_own_noise(x64):
    """log P(x) = log ∫ p(y) dy ≥ E_u log p(y) − log L, with equality under q(u|x) ∝ p(x + u)."""
    levels, x = 8, np.arange(8)
    law = scipy.stats.beta(2.5, 1.7)
    node, weight = np.polynomial.legendre.leggauss(60)
    u, w = (node + 1) / 2, weight / 2
    mass = np.diff(law.cdf(np.arange(9) / 8))
    y, log_slope = dequantize(jnp.asarray(np.repeat(x, 60)), jnp.asarray(np.tile(u, 8)), levels)
    log_p = (law.logpdf(y) + np.asarray(log_slope)).reshape(8, 60)
    bound = log_p @ w
    assert np.all(bound < np.log(mass))
    log_q = log_p - np.log(mass)[:, None]
    tight = ((log_p - log_q) * np.exp(log_q)) @ w
    np.testing.assert_allclose(tight, np.log(mass), atol=1e-4)


def test_the_mass_of_a_uniform_density_is_one_over_the_levels(x64):
    """p = 1 on [0, 1]: 8 bits a dimension."""
    x = jnp.arange(256)
    _, log_slope = dequantize(x, uniform_noise(x, jax.random.key(1)), 256)
    np.testing.assert_allclose(-np.asarray(log_slope) / np.log(2), 8, rtol=1e-6)
