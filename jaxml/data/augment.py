# SPDX-License-Identifier: Apache-2.0
"""Random changes of a batch of images, each image with its own draw: `f(images, key, *, options)`.

Spatial functions take (n, height, width, channels); noise and binarization take any shape.
"""

import math

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


__all__ = ["binarize", "crop", "dequantize", "dequantize_log_det", "flip", "shift"]
