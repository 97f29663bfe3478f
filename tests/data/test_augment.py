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


COLOURS = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (400, 6, 5, 3)), jnp.float32)


def uniform(values, low, high):
    """Whether 400 numbers look uniform, by Kolmogorov and Smirnov at p = 1e-3."""
    return stats.kstest(np.asarray(values), "uniform", (low, high - low)).pvalue > 1e-3


def test_brightness_is_one_number_an_image():
    moved = np.asarray(augment.brighten(COLOURS, jax.random.key(0)) - COLOURS)
    np.testing.assert_allclose(moved, moved[:, :1, :1, :1] + 0 * moved, atol=1e-6)
    assert uniform(moved[:, 0, 0, 0], -0.5, 0.5)


@pytest.mark.parametrize(
    ("change", "axes", "low", "high"),
    [(augment.saturate, 3, 0.0, 2.0), (augment.contrast, (1, 2, 3), 0.5, 1.5)],
)
def test_differences_from_the_mean_are_scaled(change, axes, low, high):
    """The mean over channels, or over the image, stays; what differs from it has one factor."""
    x, y = np.asarray(COLOURS), np.asarray(change(COLOURS, jax.random.key(0)))
    mean = x.mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(y.mean(axis=axes, keepdims=True), mean, atol=1e-6)
    factor = ((y - mean) * (x - mean)).sum((1, 2, 3)) / ((x - mean) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(y - mean, factor[:, None, None, None] * (x - mean), atol=1e-5)
    assert uniform(factor, low, high)


def test_a_gray_image_has_no_colour_to_scale():
    gray = COLOURS[..., :1]
    np.testing.assert_allclose(augment.saturate(gray, jax.random.key(0)), gray, atol=1e-6)


def test_a_window_is_cut_out_whose_middle_is_anywhere():
    """A rectangle of zeros, whole unless it meets the edge; every middle equally likely (χ²)."""
    found = np.asarray(augment.cut_out(IMAGES, jax.random.key(2), height=3, width=2))
    cut = (found == 0).all(axis=3)
    np.testing.assert_array_equal(found[~cut], np.asarray(IMAGES)[~cut])
    counts = np.zeros((6, 5))
    for image in cut:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert image.sum() == len(rows) * len(columns)
        assert len(rows) <= 3
        assert len(columns) <= 2
        # A window of 3 rows has its middle one row below its first, or is cut at the top.
        row = rows[-1] - 1 if len(rows) == 3 or rows[0] == 0 else rows[0] + 1
        column = columns[-1] if len(columns) == 2 or columns[0] == 0 else columns[0] + 1
        counts[row, min(column, 4)] += 1
    assert stats.chisquare(counts.sum(1)).pvalue > 1e-3
    for bad in ({"height": 0, "width": 1}, {"height": 7, "width": 1}):
        with pytest.raises(ValueError, match="height, width"):
            augment.cut_out(IMAGES, jax.random.key(0), **bad)


def test_changes_together_are_one_after_another():
    key = jax.random.key(4)
    both = augment.together(augment.brighten, augment.flip)(COLOURS, key)
    first = augment.brighten(COLOURS, jax.random.fold_in(jax.random.clone(key), 0))
    second = augment.flip(first, jax.random.fold_in(jax.random.clone(key), 1))
    np.testing.assert_array_equal(both, second)


def test_gradients_go_back_through_all_changes():
    """The map is affine in the image: its Jacobian's adjoint is what reverse mode gives."""
    change = augment.diff_augment(6, 5)
    x, w = COLOURS[:20], COLOURS[20:40]
    key = jax.random.key(5)

    def of(x):
        return change(x, jax.random.clone(key))

    along = of(x + w) - of(x)
    _, pull = jax.vjp(of, x)
    np.testing.assert_allclose(jnp.vdot(pull(w)[0], w), jnp.vdot(w, along), rtol=2e-4)
    assert of(x).shape == x.shape
    assert (np.abs(np.asarray(of(x) - x)).max(axis=(1, 2, 3)) > 1e-3).all()
