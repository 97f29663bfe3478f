# SPDX-License-Identifier: Apache-2.0
"""How much of images repeats with the period of an upsampling step: the checkerboard artefact."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import widen
from jaxml.types import Scalar


def checkerboard(images: Float[Array, "n rows columns channels"], *, period: int = 2) -> Scalar:
    """Variance of the means over the p² phases of the pixel grid, over the variance of pixels.

    A kernel whose size its stride does not divide writes some phases more often than others; their
    means then differ however the image looks. Before phases are compared, each pixel loses a mean
    of its surroundings in which all phases have the same weight: a brightness that changes slowly
    over the image does not count. Where phases are alike the measure is 0 up to noise, and 1
    for a pattern of this period and nothing else.

    Args:
      images: of any intensities.
      period: p, the stride of the suspected step.

    Raises:
      ValueError: for a period below 2 or images smaller than three periods.

    Reference: Odena et al. 2016, Deconvolution and checkerboard artifacts, Distill,
    doi:10.23915/distill.00003, for the artefact.
    """
    images = widen(images)
    n, rows, columns, channels = images.shape
    if period < 2 or min(rows, columns) < 3 * period:
        raise ValueError(
            f"period: expected at least 2 and at most a third of {rows} x {columns}, got {period}"
        )
    high = images - _surroundings(images, period)
    # The windows of the outer pixels are not whole, and phases want equal numbers of pixels.
    kept = [period * ((size - 2 * (period - 1)) // period) for size in (rows, columns)]
    first = period - 1
    high = high[:, first : first + kept[0], first : first + kept[1]]
    shape = (n, kept[0] // period, period, kept[1] // period, period, channels)
    phases = high.reshape(shape).mean(axis=(0, 1, 3))
    spread = jnp.mean(jnp.square(phases - phases.mean(axis=(0, 1), keepdims=True)))
    total = jnp.mean(jnp.square(high - high.mean(axis=(0, 1, 2), keepdims=True)))
    return jnp.where(total > 0, spread / jnp.where(total > 0, total, 1.0), 0.0)


def _surroundings(images: Array, period: int) -> Array:
    """Means of p x p windows over means of p x p windows: weights that fall off as a triangle."""
    for axis in (1, 2):
        size = images.shape[axis]
        for ahead in (0, period - 1):
            pad = [(0, 0)] * 4
            pad[axis] = (period - 1 - ahead, ahead)
            padded = jnp.pad(images, pad, mode="edge")
            parts = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(period)]
            images = sum(parts[1:], parts[0]) / period
    return images
