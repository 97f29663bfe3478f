# SPDX-License-Identifier: Apache-2.0
"""Which modes of a known mixture draws have found, and how many of them are any good."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Bool, Float, Int

from jaxml.types import Scalar


class Coverage(NamedTuple):
    """How draws are spread over the modes of a mixture.

    Attributes:
      counts: good draws a mode.
      found: modes with at least the share of draws that was asked.
      effective: e^H of the shares that the modes have of the good draws: as many modes with equal
        shares would be as uneven; 0 where no draw is good.
      quality: the share of draws that are good: within the radius of a mode.
    """

    counts: Int[Array, " modes"]
    found: Bool[Array, " modes"]
    effective: Scalar
    quality: Scalar


def mode_coverage(
    x: Float[Array, "n d"],
    centers: Float[Array, "modes d"],
    scale: float,
    *,
    radius: float = 3.0,
    least: float = 0.1,
) -> Coverage:
    """Every draw belongs to the nearest center, and is good within r standard deviations of it.

    Args:
      x: draws.
      centers: of the modes.
      scale: standard deviation of a mode along every axis.
      radius: r; of a normal law in the plane 1.1 % lie beyond 3.
      least: of the share 1/modes that a mode must have to be found.

    Raises:
      ValueError: for a scale or radius that is not positive, or a share outside [0, 1].

    Reference: Lin et al. 2018, arXiv:1712.04086, who count a mode as found by any one
    good sample.
    """
    if not scale > 0 or not radius > 0 or not 0 <= least <= 1:
        raise ValueError(
            f"scale, radius, least: expected two positive numbers and a share, "
            f"got {scale}, {radius}, {least}"
        )
    square = jnp.sum(jnp.square(x[:, None] - centers[None]), axis=-1)
    near = jnp.min(square, axis=1) <= (radius * scale) ** 2
    mine = jax.nn.one_hot(jnp.argmin(square, axis=1), len(centers), dtype=jnp.int32)
    counts = jnp.sum(jnp.where(near[:, None], mine, 0), axis=0)
    enough = max(1, math.ceil(least * len(x) / len(centers)))
    total = jnp.sum(counts)
    shares = counts / jnp.maximum(total, 1)
    effective = jnp.where(total > 0, jnp.exp(jnp.sum(entr(shares))), 0.0)
    return Coverage(counts, counts >= enough, effective, jnp.mean(near))
