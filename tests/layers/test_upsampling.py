# SPDX-License-Identifier: Apache-2.0
"""Larger images: by definition, and without the checkerboard of a transposed convolution."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import convolution, same, transposed_convolution, upsampling

X = np.random.default_rng(0).normal(size=(2, 3, 4, 2))


def test_nearest_repeats_every_pixel():
    """y[i] = x[⌊i/f⌋] along each axis."""
    y = upsampling.upsample_nearest(jnp.float32(X), (2, 3))
    i, j = np.arange(6) // 2, np.arange(12) // 3
    np.testing.assert_array_equal(y, np.float32(X)[:, i][:, :, j])


@pytest.mark.parametrize(
    "larger", [upsampling.upsample_nearest, upsampling.upsample_bilinear, upsampling.pixel_shuffle]
)
def test_a_factor_of_one_changes_nothing(larger):
    np.testing.assert_array_equal(larger(jnp.float32(X), 1), np.float32(X))


def test_bilinear_is_linear_between_centres():
    """y[i] = x((i + ½)/f − ½), constant beyond the outermost centres."""
    y = upsampling.upsample_bilinear(jnp.float32(X), 2)
    at = [np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1) for n in (3, 4)]

    def along(x, axis, where):
        low = np.minimum(np.floor(where).astype(int), x.shape[axis] - 2)
        share = (where - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        return np.take(x, low, axis) * (1 - share) + np.take(x, low + 1, axis) * share

    np.testing.assert_allclose(y, along(along(X, 1, at[0]), 2, at[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", [2, 3])
def test_pixels_and_channels_change_places(f):
    """y[fi + a, fj + b, o] = x[i, j, (af + b)O + o], and back."""
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 5 * f**2)).astype(np.float32)
    y = upsampling.pixel_shuffle(jnp.asarray(x), f)
    assert y.shape == (2, 3 * f, 4 * f, 5)
    for i, j, a, b, o in [(0, 0, 0, 1, 2), (2, 3, 1, 0, 1), (1, 2, 1, 1, 0)]:
        np.testing.assert_array_equal(
            y[:, f * i + a, f * j + b, o], x[:, i, j, (f * a + b) * 5 + o]
        )
    np.testing.assert_array_equal(upsampling.pixel_unshuffle(y, f), x)


def test_unequal_overlap_draws_a_checkerboard_and_upsampling_does_not():
    """Of a constant image: window 3 at stride 2 alternates, window 4 and upsampling do not."""
    ones = jnp.ones((1, 8, 8, 1))

    def ripple(image):
        inner = np.asarray(image)[0, 4:-4, 4:-4, 0]
        return inner.max() - inner.min()

    assert ripple(transposed_convolution(ones, jnp.ones((3, 3, 1, 1)), stride=2)) == 3
    assert ripple(transposed_convolution(ones, jnp.ones((4, 4, 1, 1)), stride=2)) == 0
    large = upsampling.upsample_nearest(ones, 2)
    assert ripple(convolution(large, jnp.ones((3, 3, 1, 1)), padding=same)) == 0


def test_factors_that_do_not_fit_are_refused():
    image = jnp.zeros((1, 3, 4, 6))
    for build in (
        lambda: upsampling.pixel_shuffle(image, 2),
        lambda: upsampling.pixel_unshuffle(image, 2),
        lambda: upsampling.upsample_nearest(image, 0),
    ):
        with pytest.raises(ValueError, match="factor"):
            build()
