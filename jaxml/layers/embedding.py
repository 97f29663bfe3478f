# SPDX-License-Identifier: Apache-2.0
"""Numbers as vectors: rows of a table, and waves of many lengths."""

import math

import jax.numpy as jnp
from jaxtyping import Float, Int, Shaped

from jaxml.numerics import widen
from jaxml.types import Array


def lookup(
    table: Float[Array, "tokens d"], tokens: Int[Array, "*batch"]
) -> Float[Array, "*batch d"]:
    """E[token]; a token that the table does not have gives NaN, not its neighbour.

    Args:
      table: E.
      tokens: from 0; negative numbers are none.
    """
    rows = jnp.where(tokens < 0, len(table), tokens)
    return jnp.take(table, rows, axis=0, mode="fill", fill_value=jnp.nan)


def sinusoidal(
    t: Shaped[Array, "*batch"], d: int, *, longest: float = 10_000.0
) -> Float[Array, "*batch {d}"]:
    """(sin ω₀t, …, cos ω₀t, …) with ωₖ = longest^(−k/(d/2)): positions and diffusion times.

    Sines first and cosines behind them, as in DDPM; the Transformer's paper interleaves the same
    numbers. The product of two such vectors depends on the difference of their t alone.

    Args:
      t: positions or times, in single precision at least.
      d: numbers a vector, even.
      longest: period of the slowest wave over 2π, up to one step.

    Raises:
      ValueError: if d is odd or not positive.

    Reference: Vaswani et al. 2017, section 3.5, arXiv:1706.03762; Ho et al. 2020, appendix B.
    """
    _check_even(d)
    wide = widen(t)
    k = jnp.arange(d // 2).astype(wide.dtype)
    omega = jnp.exp(-math.log(longest) * k / (d // 2))
    angle = wide[..., None] * omega.reshape(*(1,) * t.ndim, -1)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def fourier(
    t: Shaped[Array, "*batch n"], frequencies: Float[Array, "n k"]
) -> Float[Array, "*batch d"]:
    """(sin 2πtB, cos 2πtB): with rows of B from N(0, s²), waves of about 1/s in every direction.

    Args:
      t: coordinates or noise levels, in single precision at least.
      frequencies: B, drawn once and kept.

    Returns:
      2k numbers.

    Reference: Tancik et al. 2020, equation 5, arXiv:2006.10739.
    """
    wide = widen(t)
    angle = 2 * math.pi * (wide @ frequencies.astype(wide.dtype))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def _check_even(d: int) -> None:
    if d < 2 or d % 2:
        raise ValueError(f"d: expected an even number of at least 2, got {d}")
