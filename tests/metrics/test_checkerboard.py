# SPDX-License-Identifier: Apache-2.0
"""The checkerboard measure: nothing for noise and for smooth images, all for the pattern itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers.convolution import transposed_convolution
from jaxml.metrics import checkerboard


def noise(n=200, size=16):
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, size, size, 2)), jnp.float32)


def test_noise_and_smooth_images_have_none():
    assert checkerboard(noise()) < 1e-3
    rows, columns = np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16), indexing="ij")
    smooth = jnp.asarray(rows**2 + np.sin(2 * columns), jnp.float32)[None, :, :, None]
    assert checkerboard(smooth + 0.05 * noise()) < 2e-3
    assert checkerboard(jnp.ones((3, 8, 8, 1))) == 0


@pytest.mark.parametrize("period", [2, 3, 4])
def test_a_pattern_of_the_period_is_all_there_is(period):
    """Any pattern of p x p pixels repeated, on any brightness: 1."""
    tile = np.random.default_rng(1).normal(size=(period, period))
    pattern = jnp.asarray(np.tile(tile, (4, 4))[None, :, :, None] + 7.0, jnp.float32)
    np.testing.assert_allclose(checkerboard(pattern, period=period), 1, rtol=1e-4)


def test_it_rises_with_the_share_of_the_pattern():
    pattern = jnp.asarray((-1.0) ** np.add.outer(np.arange(16), np.arange(16)), jnp.float32)
    images = noise()
    found = [float(checkerboard(images + a * pattern[None, :, :, None])) for a in (0.2, 0.5, 1.0)]
    # Less the mean with weights 1, 2, 1 along both axes noise keeps 41/64 of its variance.
    expected = [a**2 / (a**2 + 41 / 64) for a in (0.2, 0.5, 1.0)]
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_kernels_that_the_stride_does_not_divide_leave_it():
    """A transposed convolution of ones: 3 x 3 at stride 2 overlaps unevenly, 4 x 4 does not."""
    x = jnp.abs(noise(size=8))
    uneven, even = (
        transposed_convolution(x, jnp.ones((k, k, 1, 2)), stride=2, padding=((1, 1), (1, 1)))
        for k in (3, 4)
    )
    assert checkerboard(uneven) > 0.3
    assert checkerboard(even) < 0.02


def test_bad_periods_are_refused():
    for period in (1, 6):
        with pytest.raises(ValueError, match="period"):
            checkerboard(noise(1), period=period)
    assert np.isfinite(jax.jit(checkerboard)(noise(2)))
