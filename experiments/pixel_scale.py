# SPDX-License-Identifier: Apache-2.0
"""How whole numbers become real ones, and what that does to a density."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxml.bijections import dequantize, quantize, uniform_noise
from jaxml.numerics import softplus
from jaxml.types import Array, Key


class Scale(NamedTuple):
    """Images of whole numbers 0 … L − 1 under uniform noise as real numbers y, and back.

    The constructors below are cached: equal options give the same object.

    Attributes:
      levels: L.
      forward: `(x, key) -> (y, log_mass)`; a density of y times e^log_mass is a mass of x, up to
        the noise.
      back: `y -> x`, the whole numbers that y came from.
      seen: `y -> intensity`, what a picture of y shows in [0, 1].
    """

    levels: int
    forward: Callable[[Array, Key], tuple[Array, Array]]
    back: Callable[[Array], Array]
    seen: Callable[[Array], Array]


@cache
def centred(levels: int) -> Scale:
    """y = 2 (x + u)/L − 1, in [−1, 1)."""

    def forward(x: Array, key: Key) -> tuple[Array, Array]:
        y = 2 * dequantize(x, uniform_noise(x, key), levels)[0] - 1
        return y, jnp.full(len(x), math.prod(x.shape[1:]) * math.log(2 / levels), y.dtype)

    def seen(y: Array) -> Array:
        return jnp.clip(0.5 * (y + 1), 0.0, 1.0)

    return Scale(levels, forward, lambda y: _whole(seen(y), levels), seen)


@cache
def logits(levels: int, margin: float = 1e-6, spread: float = 5.0) -> Scale:
    """y = logit(a + (1 − 2a)(x + u)/L)/s: the outer levels, where most pixels are, get room.

    On a straight scale a black pixel is a peak of the width of one level, which a network has to
    magnify; here it is as wide as everything else.

    Args:
      levels: L.
      margin: a.
      spread: s.

    Reference: Dinh et al. 2017, section 4.1, arXiv:1605.08803.
    """

    def forward(x: Array, key: Key) -> tuple[Array, Array]:
        share = dequantize(x, uniform_noise(x, key), levels)[0]
        inner = margin + (1 - 2 * margin) * share
        logit = jnp.log(inner) - jnp.log1p(-inner)
        slope = math.log((1 - 2 * margin) / (spread * levels)) + softplus(logit) + softplus(-logit)
        return logit / spread, slope.sum(axis=tuple(range(1, x.ndim)))

    def seen(y: Array) -> Array:
        return jnp.clip((jax.nn.sigmoid(spread * y) - margin) / (1 - 2 * margin), 0.0, 1.0)

    return Scale(levels, forward, lambda y: _whole(seen(y), levels), seen)


def _whole(share: Array, levels: int) -> Array:
    return quantize(jnp.minimum(share, 1 - 0.5 / levels), levels)
