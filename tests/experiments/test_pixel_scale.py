# SPDX-License-Identifier: Apache-2.0
"""Whole numbers on a scale and back, and masses of them from densities there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import pixel_scale

SCALES = {
    "centred": pixel_scale.centred,
    "logits": pixel_scale.logits,
    "wide margin": lambda levels: pixel_scale.logits(levels, 0.05, 2.0),
}


def every_level(levels):
    return jnp.arange(levels, dtype=jnp.uint8).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_whole_numbers_come_back_from_their_noise(name, levels):
    """For every intensity and 500 draws of noise; what lies beyond the ends is at the ends."""
    scale = SCALES[name](levels)
    x = jnp.tile(every_level(levels), (500, 1, 1, 1))
    y, _ = scale.forward(x, jax.random.key(0))
    np.testing.assert_array_equal(scale.back(y), x)
    far = jnp.asarray([-70.0, 70.0])
    np.testing.assert_array_equal(scale.back(far), [0, levels - 1])
    np.testing.assert_array_equal(scale.seen(far), [0, 1])
    inside = np.asarray(scale.seen(y))[..., 0, 0, 0] * levels - np.asarray(x)[..., 0, 0, 0]
    assert (inside > -1e-3).all()
    assert (inside < 1 + 1e-3).all()


@pytest.mark.parametrize("name", SCALES)
def test_a_density_becomes_the_mass_of_the_cell(name):
    """E exp(log N(y; 0.1, 0.8²) + log_mass) over the noise is the cell's share, 4.5 s.e."""
    scale, levels, n = SCALES[name](17), 17, 40_000
    x = jnp.tile(every_level(levels), (n, 1, 1, 1))
    y, log_mass = scale.forward(x, jax.random.key(1))
    y = np.asarray(y, "f8").reshape(n, levels)
    masses = np.exp(stats.norm.logpdf(y, 0.1, 0.8) + np.asarray(log_mass, "f8").reshape(n, levels))
    found, error = masses.mean(0), masses.std(0, ddof=1) / np.sqrt(n)
    # The cell's ends, by the inverse of what a picture shows.
    ends = np.array([_y_of(scale, k / levels) for k in range(levels + 1)])
    exact = np.diff(stats.norm.cdf(ends, 0.1, 0.8))
    assert (np.abs(found - exact) < 4.5 * error + 1e-6).all()


def _y_of(scale, share):
    """The last place whose picture shows no more than 0, or the first that shows this share."""
    low, high = -4.0, 4.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        shown = float(scale.seen(jnp.asarray(middle)))
        below = shown <= 0 if share == 0 else shown < share
        low, high = (middle, high) if below else (low, middle)
    return 0.5 * (low + high)


@pytest.mark.parametrize("name", SCALES)
def test_masses_of_several_pixels_multiply(name):
    """log_mass of an image is the sum over its pixels: a pair of images of one pixel and of two."""
    scale = SCALES[name](256)
    x = jnp.full((1, 1, 2, 1), 7, jnp.uint8)
    y, both = scale.forward(x, jax.random.key(0))
    slope = jax.grad(lambda y: scale.seen(y))
    each = [np.log(256 * float(slope(value))) for value in y.ravel()]
    np.testing.assert_allclose(both[0], -np.sum(each), rtol=1e-3)
