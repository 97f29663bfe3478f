# SPDX-License-Identifier: Apache-2.0
"""Scaled dot-product attention with the layout of `jax.nn.dot_product_attention`."""

import math
from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from jaxml.layers.attention_by_block import ROWS, Sight, at_once, by_block
from jaxml.types import Array


def attention(
    q: Float[Array, "*batch t heads d"],
    k: Float[Array, "*batch s kv_heads d"],
    v: Float[Array, "*batch s kv_heads e"],
    *,
    causal: bool = False,
    window: int | None = None,
    offset: int | Int[Array, ""] = 0,
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    scale: float | None = None,
) -> Float[Array, "*batch t heads e"]:
    """o = softmax(q kᵀ/√d + bias) v, each head by itself, over the keys that a query may see.

    Heads of keys and values may be fewer than those of queries: each serves `heads / kv_heads`
    queries in a row (grouped-query attention; multi-query with one). A query that sees no key gives
    0, with gradient 0. Softmax is computed in single precision at least.

    Accelerators compute all at once. On a CPU more than 128 causal or windowed queries go a block
    at a time: a few times faster where most keys are out of sight, and never the whole matrix in
    memory.

    Args:
      q: queries.
      k: keys.
      v: values.
      causal: a query sees no key that comes later.
      window: a query sees the keys less than `window` positions away: itself and `window - 1`
        before it, and as many after it unless causal.
      offset: position of the first query among the keys, for `causal` and `window`; may be traced.
      mask: True where a query may look; `*batch heads t s` or 1 in place of any of them.
      bias: added to the scaled logits; shaped as `mask`.
      scale: factor of q kᵀ; 1/√d if None.

    Returns:
      o, in the dtype of `q`.

    Raises:
      ValueError: if heads, window, mask or bias do not fit.

    Reference: Vaswani et al. 2017, equation 1, arXiv:1706.03762; grouped queries: Ainslie et al.
    2023, arXiv:2305.13245; window: Beltagy et al. 2020, section 3.1, arXiv:2004.05150.
    """
    (*_, t, heads, d), groups = q.shape, k.shape[-2]
    if groups < 1 or heads % groups:
        raise ValueError(f"the {heads} heads of q must be a multiple of the {groups} of k and v")
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, itself; got {window}")
    for name, table in (("mask", mask), ("bias", bias)):
        full = (*q.shape[:-3], heads, t, k.shape[-3])
        if table is not None and (
            table.ndim != len(full)
            or any(a not in (1, b) for a, b in zip(table.shape, full, strict=True))
        ):
            raise ValueError(f"{name} must be {full}, or 1 along any axis; got {table.shape}")
    sight = Sight(causal, window, offset)
    options = {"sight": sight, "scale": 1 / math.sqrt(d) if scale is None else scale}
    grouped = jnp.moveaxis(q.reshape(*q.shape[:-2], groups, heads // groups, d), -4, -2)
    tables = _grouped(bias, groups), _grouped(mask, groups)
    arrays = grouped, _heads_first(k), _heads_first(v), *tables
    if t > ROWS and isinstance(offset, int) and (causal or window is not None):
        o = lax.platform_dependent(
            *arrays, cpu=partial(by_block, **options), default=partial(at_once, **options)
        )
    else:
        o = at_once(*arrays, **options)
    return jnp.moveaxis(o, -2, -4).reshape(*q.shape[:-1], v.shape[-1]).astype(q.dtype)


def _heads_first(x: Array) -> Array:
    return jnp.moveaxis(x, -3, -2)


def _grouped(table: Array | None, groups: int) -> Array | None:
    """The axis of heads in two: one of groups, one inside of a group."""
    if table is None:
        return None
    heads = table.shape[-3]
    split = (1, 1) if heads == 1 else (groups, heads // groups)
    return table.reshape(*table.shape[:-3], *split, *table.shape[-2:])
