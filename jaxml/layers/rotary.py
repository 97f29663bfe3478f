# SPDX-License-Identifier: Apache-2.0
"""Positions as rotations of queries and keys."""

import jax.numpy as jnp
from jaxtyping import Float, Int

from jaxml.numerics import widen
from jaxml.types import Array


def rotary(
    x: Float[Array, "*batch t heads d"],
    position: Int[Array, " t"],
    *,
    base: float = 10_000.0,
    interleaved: bool = False,
) -> Float[Array, "*batch t heads d"]:
    """(xₐ + i x_b) e^{i m θₖ} with θₖ = base^(−2k/d): the k-th pair of channels, turned.

    The product of a query at m with a key at n then depends on m − n alone.

    Args:
      x: queries or keys; half precision is turned in single precision and returned as half.
      position: m, one an element of the sequence; a cache passes where its new elements stand.
      base: of the frequencies. Larger ones reach further.
      interleaved: pairs are neighbours (2k, 2k + 1), as in the paper; otherwise (k, k + d/2), as in
        most released weights. The two differ by a permutation of channels.

    Raises:
      ValueError: if d is odd.

    Reference: Su et al. 2021, equations 14, 15 and 34, arXiv:2104.09864.
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"rotary pairs channels: d must be even, got {d}")
    wide = widen(x)
    k = jnp.arange(0, d, 2).astype(wide.dtype)
    frequency = jnp.power(jnp.asarray(base, wide.dtype), -k / d)
    angle = position.astype(wide.dtype)[:, None] * frequency[None]
    cos, sin = (f(angle).reshape(*(1,) * (x.ndim - 3), -1, 1, d // 2) for f in (jnp.cos, jnp.sin))
    pairs = wide.reshape(*x.shape[:-1], *((d // 2, 2) if interleaved else (2, d // 2)))
    axis = -1 if interleaved else -2
    a, b = jnp.take(pairs, 0, axis), jnp.take(pairs, 1, axis)
    turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis)
    return turned.reshape(x.shape).astype(x.dtype)
