# SPDX-License-Identifier: Apache-2.0
"""Weightings: the same error counted in the words of x_0, ε and F."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from jaxml.diffusion import weighting

LEVEL = jnp.linspace(-8.0, 8.0, 33)


def errors(level):
    """A wrong x̂_0 at every level: |x_0 − x̂_0|², |ε − ε̂|² and |F − F̂|²."""
    noise = d.Noise(jnp.ones_like(level), jnp.exp(-0.5 * level), level)
    x0, x, wrong = 0.3, 1.1, 0.8
    kinds = d.X0, d.EPS, d.preconditioned(0.5)
    out = [
        [d.convert(jnp.full_like(level, v), jnp.full_like(level, x), noise, d.X0, k) for k in kinds]
        for v in (x0, wrong)
    ]
    return [jnp.square(a - b) for a, b in zip(*out, strict=True)]


def test_weights_of_one_word_are_weights_of_another(x64):
    """e^−λ |ε|² = |x_0|²; min(e^λ, γ) |x_0|²; the weighting of EDM is 1 of F."""
    level = jnp.linspace(-8.0, 8.0, 33)
    of_x0, of_eps, of_f = errors(level)
    np.testing.assert_allclose(weighting.of_x0(level) * of_eps, of_x0, rtol=1e-10)
    np.testing.assert_allclose(weighting.simple(level) * of_eps, of_eps)
    clipped = jnp.minimum(jnp.exp(level), 5.0) * of_x0
    np.testing.assert_allclose(weighting.min_snr(5.0)(level) * of_eps, clipped, rtol=1e-10)
    np.testing.assert_allclose(weighting.edm(0.5)(level) * of_eps, of_f, rtol=1e-10)
    sigma = jnp.exp(-0.5 * level)
    karras = (sigma**2 + 0.25) / (0.5 * sigma) ** 2 * of_x0
    np.testing.assert_allclose(weighting.edm(0.5)(level) * of_eps, karras, rtol=1e-10)


def test_the_likelihood_weighs_by_the_slope_of_the_level(x64):
    """∫ −½ dλ/dt dt = ½ (λ_0 − λ_1), whatever the way between them."""
    t = (jnp.arange(20_000.0) + 0.5) / 20_000
    for schedule in (d.cosine(-6.0, 9.0), d.linear_log_snr(-6.0, 9.0)):
        weights = weighting.vlb(schedule, t)
        assert (weights > 0).all()
        np.testing.assert_allclose(weights.mean(), 7.5, rtol=1e-5)


def test_the_sigmoid_rises_with_noise():
    weights = weighting.sigmoid(2.0)(LEVEL)
    assert (jnp.diff(weights) < 0).all()
    np.testing.assert_allclose(weighting.sigmoid(2.0)(jnp.asarray(2.0)), 0.5)


def test_bad_numbers_are_refused():
    for make, name in ((weighting.min_snr, "limit"), (weighting.edm, "sigma_data")):
        with pytest.raises(ValueError, match=name):
            make(0.0)
