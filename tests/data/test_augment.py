# SPDX-License-Identifier: Apache-2.0
"""Augmentations move pixels, draw from the stated laws, and are pure in their key."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.data import augment

IMAGES = jnp.arange(400 * 6 * 5 * 2, dtype=jnp.float32).reshape(400, 6, 5, 2) + 1


def shifted(image, dy, dx):
    """The image moved by (dy, dx), zeros entering."""
    out = np.zeros_like(image)
    rows, columns = image.shape[:2]
    for y in range(rows):
        for x in range(columns):
            if 0 <= y - dy < rows and 0 <= x - dx < columns:
                out[y, x] = image[y - dy, x - dx]
    return out


def test_flip_mirrors_the_width_of_about_half_the_images():
    found = np.asarray(augment.flip(IMAGES, jax.random.key(0)))
    mirrored = (found == np.asarray(IMAGES)[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (found == np.asarray(IMAGES)).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert abs(mirrored.sum() - 200) <= 4.5 * 10
    always = augment.flip(IMAGES, jax.random.key(0), probability=1.0)
    np.testing.assert_array_equal(always, IMAGES[:, :, ::-1])


def test_shift_is_uniform_over_all_whole_moves():
    """Each image is one of its 25 moves by up to 2 pixels, all equally likely (χ²)."""
    found = np.asarray(augment.shift(IMAGES, jax.random.key(1), pixels=2))
    moves = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    counts = np.zeros(25)
    for image, out in zip(np.asarray(IMAGES), found, strict=True):
        hits = [np.array_equal(shifted(image, *move), out) for move in moves]
        assert sum(hits) == 1
        counts += hits
    assert stats.chisquare(counts).pvalue > 1e-4
    filled = augment.shift(IMAGES, jax.random.key(1), pixels=2, fill=-3.0)
    np.testing.assert_array_equal(np.where(found == 0, -3, found), filled)


def test_crop_takes_every_window_equally_often():
    found = np.asarray(augment.crop(IMAGES, jax.random.key(2), height=4, width=4))
    corner = (found[:, 0, 0, 0] - np.asarray(IMAGES)[:, 0, 0, 0]) / 2
    counts = np.zeros((3, 2))
    for image, out, offset in zip(np.asarray(IMAGES), found, corner.astype(int), strict=True):
        y, x = divmod(offset, 5)
        np.testing.assert_array_equal(out, image[y : y + 4, x : x + 4])
        counts[y, x] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4
    whole = augment.crop(IMAGES, jax.random.key(2), height=6, width=5)
    np.testing.assert_array_equal(whole, IMAGES)


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_dequantized_values_lie_in_their_own_bin_uniformly(levels):
    """floor(levels · y) = x, y < 1, and levels · y - x is uniform (Kolmogorov-Smirnov)."""
    x = jnp.arange(20_000, dtype=jnp.int32) % levels
    y = np.asarray(augment.dequantize(x, jax.random.key(3), levels=levels))
    assert y.dtype == np.float32
    assert y.max() < 1
    np.testing.assert_array_equal(np.floor(y.astype(np.float64) * levels + 1e-9), x)
    assert stats.kstest(y.astype(np.float64) * levels - np.asarray(x), "uniform").pvalue > 1e-4


def test_dequantization_never_reaches_one():
    """The top level plus the largest noise rounds to 1 in float32, which is outside."""
    x = jnp.full((200_000,), 255, jnp.uint8)
    assert augment.dequantize(x, jax.random.key(4)).max() < 1


def test_dequantization_log_det_is_that_of_the_jacobian(x64):
    """log |det dy/dx| of y = (x + u)/levels for 7 dimensions."""
    jacobian = jax.jacobian(lambda x: augment.dequantize(x, jax.random.key(0), levels=16))
    _, expected = jnp.linalg.slogdet(jacobian(jnp.arange(7.0)))
    assert augment.dequantize_log_det(7, 16) == pytest.approx(float(expected), abs=1e-12)


def test_dequantized_uniform_model_has_the_mass_of_its_level():
    """A uniform density on [0, 1]^D gives log P(x) = -D log levels exactly."""
    assert augment.dequantize_log_det(64) == pytest.approx(64 * np.log(1 / 256))


def test_binarized_pixels_are_bernoulli_draws():
    """Means over 40 000 draws within 4.5 s.e.; intensities 0 and 1 never change."""
    intensity = jnp.tile(jnp.array([0.0, 0.1, 0.5, 0.9, 1.0]), (40_000, 1))
    x = np.asarray(augment.binarize(intensity, jax.random.key(5)))
    assert set(np.unique(x)) == {0.0, 1.0}
    p = np.asarray(intensity[0], np.float64)
    assert (np.abs(x.mean(axis=0) - p) <= 4.5 * np.sqrt(p * (1 - p) / 40_000) + 1e-12).all()


@pytest.mark.parametrize(
    "f",
    [
        augment.flip,
        partial(augment.shift, pixels=2),
        partial(augment.crop, height=3, width=3),
        augment.dequantize,
        lambda images, key: augment.binarize(images / images.max(), key),
    ],
)
def test_every_augmentation_is_pure_in_its_key_and_compiles(f):
    keys = jax.random.wrap_key_data(jnp.array([[0, 6], [0, 6], [0, 7]], jnp.uint32))
    first, again, other = jax.jit(jax.vmap(f, (None, 0)))(IMAGES, keys)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_allclose(first, f(IMAGES, jax.random.key(6)), rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (partial(augment.shift, pixels=-1), "pixels"),
        (partial(augment.crop, height=7, width=5), "height, width"),
        (partial(augment.crop, height=6, width=0), "height, width"),
    ],
)
def test_impossible_windows_are_refused_by_name(f, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        f(IMAGES, jax.random.key(0))
