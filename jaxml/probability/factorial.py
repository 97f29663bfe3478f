# SPDX-License-Identifier: Apache-2.0
"""Factorials and their ratios, as logarithms whose large parts cancel before they are computed."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def stirling_remainder(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x! − (x log x − x) for x ≥ 0: ½ log 2πx + 1/(12x) − ..., and 0 at 0.

    What is left of log x! after its large part, whose digits would be lost in differences.

    Reference: Abramowitz and Stegun 1964, equation 6.1.41.
    """
    few = x < (4 if jnp.finfo(x.dtype).bits == 32 else 16)  # five terms are exact from here on
    safe = jnp.where(few & (x > 0), x, 1)
    near = jax.lax.lgamma(safe + 1) - safe * jnp.log(safe) + safe
    inverse = 1 / jnp.where(few, 16, x)
    square, series = inverse * inverse, jnp.full_like(x, 1 / 1188)
    for term in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + term
    far = 0.5 * (math.log(2 * math.pi) - jnp.log(inverse)) + series * inverse
    return jnp.where(few, jnp.where(x == 0, 0.0, near), far)
