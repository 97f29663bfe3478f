# SPDX-License-Identifier: Apache-2.0
"""Random changes of a batch of images, each image with its own draw: `f(images, key, *, options)`.

Spatial functions take (n, height, width, channels); noise and binarization take any shape.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from jaxml.types import Key

Images = Shaped[Array, "n rows columns channels"]


def flip(images: Images, key: Key, *, probability: float = 0.5) -> Images:
    """Mirror left and right with the given probability."""
    mirrored = jax.random.bernoulli(key, probability, (images.shape[0], 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def shift(images: Images, key: Key, *, pixels: int, fill: float = 0.0) -> Images:
    """Move by whole pixels, uniform in [-pixels, pixels] along both axes; `fill` enters.

    Raises:
      ValueError: If the shift is negative.
    """
    if pixels < 0:
        raise ValueError(f"pixels: expected at least 0, got {pixels}")
    pad = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = jnp.pad(images, pad, constant_values=jnp.asarray(fill, images.dtype))
    return crop(padded, key, height=images.shape[1], width=images.shape[2])


def crop(
    images: Images, key: Key, *, height: int, width: int
) -> Shaped[Array, "n {height} {width} channels"]:
    """A window of the given size at a uniformly random place.

    Raises:
      ValueError: If the window exceeds the image.
    """
    n, rows, columns, channels = images.shape
    if not (1 <= height <= rows and 1 <= width <= columns):
        raise ValueError(
            f"height, width: expected at most the image's {rows} x {columns}, "
            f"got {height} x {width}"
        )
    limit = jnp.array([rows - height + 1, columns - width + 1], jnp.int32)
    corner = jax.random.randint(key, (n, 2), 0, limit[None])

    def window(image: Array, corner: Array) -> Array:
        zero = jnp.zeros((), corner.dtype)
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], zero), (height, width, channels))

    return jax.vmap(window)(images, corner)


def brighten(images: Images, key: Key, *, amount: float = 0.5) -> Images:
    """Add one number to each image, uniform in [-amount, amount]."""
    return images + _each(images, key, -amount, amount)


def saturate(images: Images, key: Key, *, amount: float = 1.0) -> Images:
    """Scale what channels differ from their mean at each pixel, by a factor in 1 ± amount.

    An image of one channel has no colour and stays.
    """
    gray = images.mean(axis=3, keepdims=True)
    return gray + _each(images, key, 1 - amount, 1 + amount) * (images - gray)


def contrast(images: Images, key: Key, *, amount: float = 0.5) -> Images:
    """Scale what pixels differ from the mean of their image, by a factor in 1 ± amount."""
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return mean + _each(images, key, 1 - amount, 1 + amount) * (images - mean)


def cut_out(images: Images, key: Key, *, height: int, width: int, fill: float = 0.0) -> Images:
    """Overwrite a window whose middle is anywhere in the image; at its edge a part of one.

    Raises:
      ValueError: If the window is empty or exceeds the image.
    """
    n, rows, columns, _ = images.shape
    if not (1 <= height <= rows and 1 <= width <= columns):
        raise ValueError(
            f"height, width: expected 1 to the image's {rows} x {columns}, got {height} x {width}"
        )
    middle = jax.random.randint(key, (2, n, 1), 0, jnp.array([rows, columns])[:, None, None])

    def inside(size: int, window: int, middle: Array) -> Array:
        first = middle - window // 2
        place = jnp.arange(size)[None]
        return (place >= first) & (place < first + window)

    hit = inside(rows, height, middle[0])[:, :, None] & inside(columns, width, middle[1])[:, None]
    return jnp.where(hit[..., None], jnp.asarray(fill, images.dtype), images)


def together(*changes: Callable[[Images, Key], Images]) -> Callable[[Images, Key], Images]:
    """One change after another, number i with `fold_in(key, i)`."""

    def change(images: Images, key: Key) -> Images:
        for i, one in enumerate(changes):
            images = one(images, jax.random.fold_in(key, i))
        return images

    return change


def diff_augment(rows: int, columns: int) -> Callable[[Images, Key], Images]:
    """Colour, translation by up to an eighth and a cut-out window of half the size, differentiable.

    What a critic sees of real and of generated images alike, so that it cannot learn few images by
    heart and the generator does not learn the changes. For intensities in [-1, 1].

    Args:
      rows: of the images.
      columns: of the images.

    Zhao et al. 2020, Differentiable Augmentation, arXiv:2006.10738.
    """
    pixels = max(1, round(max(rows, columns) / 8))
    window = {"height": max(1, rows // 2), "width": max(1, columns // 2)}
    return together(
        brighten, saturate, contrast, partial(shift, pixels=pixels), partial(cut_out, **window)
    )


def dequantize(
    images: Num[Array, "*shape"], key: Key, *, levels: int = 256
) -> Float[Array, "*shape"]:
    """y = (x + u) / levels with u ~ U[0, 1): a density on [0, 1) that bounds the mass of x.

    E_u log p(y) - D log levels <= log P(x) for D dimensions: the change of variables is
    `dequantize_log_det`. Theis, van den Oord & Bethge 2016 (arXiv:1511.01844), eq. 6.

    Args:
      images: Integers 0 to levels - 1, of any dtype.
      key: Draws the noise.
      levels: The number of intensities.
    """
    noise = jax.random.uniform(key, images.shape)
    # Rounding can reach 1 when x + u is near `levels`; the largest float below 1 is inside.
    below_one = jnp.nextafter(jnp.ones((), noise.dtype), jnp.zeros((), noise.dtype))
    return jnp.minimum((images.astype(noise.dtype) + noise) / levels, below_one)


def dequantize_log_det(n_dimensions: int, levels: int = 256) -> float:
    """log |dy/dx| = -D log levels, in nats: log p(x + u) = log p(y) + this."""
    return -n_dimensions * math.log(levels)


def binarize(intensity: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
    """x ~ Bernoulli(intensity): drawn anew each time, an image never repeats.

    Salakhutdinov & Murray 2008, On the Quantitative Analysis of Deep Belief Networks, section 5.2.

    Args:
      intensity: Probabilities in [0, 1]; 8-bit images are divided by 255 first.
      key: Draws the pixels.
    """
    return jax.random.bernoulli(key, intensity).astype(intensity.dtype)


def _each(images: Images, key: Key, low: float, high: float) -> Float[Array, "n 1 1 1"]:
    """A uniform number for each image."""
    return jax.random.uniform(key, (len(images), 1, 1, 1), images.dtype, low, high)


__all__ = [
    "binarize",
    "brighten",
    "contrast",
    "crop",
    "cut_out",
    "dequantize",
    "dequantize_log_det",
    "diff_augment",
    "flip",
    "saturate",
    "shift",
    "together",
]
