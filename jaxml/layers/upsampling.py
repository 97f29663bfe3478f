# SPDX-License-Identifier: Apache-2.0
"""Larger images: repeated, interpolated, or from channels.

A transposed convolution whose window its stride does not divide writes some positions more often
than others, and draws a checkerboard; upsampling followed by a convolution cannot.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxml.layers.convolution_geometry import per_axis
from jaxml.types import Array


def upsample_nearest(
    x: Float[Array, "n *size c"], factor: int | Sequence[int]
) -> Float[Array, "n *new_size c"]:
    """y[i] = x[⌊i/f⌋].

    Args:
      x: data, channels last.
      factor: f, one for all axes or one each.

    Raises:
      ValueError: if a factor is below 1.

    Reference: Odena, Dumoulin and Olah 2016, doi:10.23915/distill.00003.
    """
    n_axes = x.ndim - 2
    factors = per_axis("factor", factor, n_axes, least=1)
    for axis, f in enumerate(factors, start=1):
        x = jnp.repeat(x, f, axis=axis)
    return x


def upsample_bilinear(
    x: Float[Array, "n *size c"], factor: int | Sequence[int]
) -> Float[Array, "n *new_size c"]:
    """Linear between the centres of pixels, y[i] = x((i + ½)/f − ½), and constant at the border.

    Args:
      x: data, channels last.
      factor: f, one for all axes or one each.

    Raises:
      ValueError: if a factor is below 1.
    """
    factors = per_axis("factor", factor, x.ndim - 2, least=1)
    size = [n * f for n, f in zip(x.shape[1:-1], factors, strict=True)]
    return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), "linear").astype(x.dtype)


def pixel_shuffle(x: Float[Array, "n h w c"], factor: int) -> Float[Array, "n new_h new_w o"]:
    """y[fi + a, fj + b, o] = x[i, j, (a f + b) O + o]: channels become pixels.

    PyTorch orders channels `o, a, b`; this order, `a, b, o`, keeps each pixel's channels together.

    Args:
      x: an image whose channels are f² images of O channels.
      factor: f.

    Raises:
      ValueError: if f² does not divide the channels.

    Reference: Shi et al. 2016, equation 4, arXiv:1609.05158.
    """
    n, h, w, c = x.shape
    if factor < 1 or c % factor**2:
        raise ValueError(f"factor: expected a number whose square divides {c}, got {factor}")
    blocks = x.reshape(n, h, w, factor, factor, c // factor**2)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * factor, w * factor, -1)


def pixel_unshuffle(x: Float[Array, "n h w c"], factor: int) -> Float[Array, "n new_h new_w o"]:
    """The inverse of `pixel_shuffle`: pixels become channels, and nothing is lost.

    Args:
      x: an image.
      factor: f.

    Raises:
      ValueError: if f does not divide height and width.
    """
    n, h, w, c = x.shape
    if factor < 1 or h % factor or w % factor:
        raise ValueError(f"factor: expected a divisor of {h} and {w}, got {factor}")
    blocks = x.reshape(n, h // factor, factor, w // factor, factor, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // factor, w // factor, -1)
