# SPDX-License-Identifier: Apache-2.0
"""Integers as real numbers: a density over y = (x + u)/L bounds the mass of x from below."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from jaxml.numerics import widen, widen_all
from jaxml.types import Key


def dequantize(
    x: Shaped[Array, "*shape"], noise: Float[Array, "*shape"], levels: int
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """y = (x + u)/L with log-slope −log L, for x in {0, …, L − 1} and u in [0, 1).

    For any density p of y and any law q of the noise, Jensen's inequality gives
    log P(x) ≥ E_q[log p(y) − log q(u|x)] − D log L, in nats; q = 1 where noise is uniform.

    Args:
      x: whole numbers, in any dtype.
      noise: u.
      levels: L.

    Reference: Theis et al. 2016, section 3.1, arXiv:1511.01844; for learned noise Ho et al. 2019,
    section 3.1, arXiv:1902.00275.
    """
    whole, noise = widen_all(x, noise)
    y = (whole + noise) / levels
    return y, jnp.full(y.shape, -math.log(levels), y.dtype)


def uniform_noise(x: Shaped[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
    """u ~ U[0, 1), never so near to 1 that x + u would round to x + 1 for x below 256.

    Odd multiples of 2⁻¹⁶: the sum is exact in single precision for 8-bit data.
    """
    bits = jax.random.bits(key, x.shape, jnp.uint16)
    return (bits.astype(widen(x).dtype) // 2 * 2 + 1) / 2**16


def quantize(y: Float[Array, "*shape"], levels: int) -> Integer[Array, "*shape"]:
    """⌊L y⌋ in {0, …, L − 1}: the pixel that y came from."""
    return jnp.clip(jnp.floor(y * levels), 0, levels - 1).astype(jnp.int32)
