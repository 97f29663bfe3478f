# SPDX-License-Identifier: Apache-2.0
"""Keys and values of the elements that came before, in arrays of a fixed size.

They lie with heads before positions, as a batch of matrix products reads them: with positions first
every new element would have the whole cache transposed.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import DTypeLike, Float, Int

from jaxml.types import Array


class Cache(NamedTuple):
    """Keys and values seen so far; one shape from the first to the last step of a sampling loop.

    A step with new queries, keys and values is `position = cache.length`, `cache =
    extend_cache(cache, k, v)`, `attention(q, cache.keys, cache.values, causal=True,
    offset=position)`: causality hides what is not yet filled.

    Attributes:
      k: keys, `length` of them filled.
      v: values.
      length: how many elements are filled.
    """

    k: Float[Array, "*batch heads size d"]
    v: Float[Array, "*batch heads size e"]
    length: Int[Array, ""]

    @property
    def keys(self) -> Float[Array, "*batch size heads d"]:
        """Keys as `attention` takes them."""
        return jnp.swapaxes(self.k, -3, -2)

    @property
    def values(self) -> Float[Array, "*batch size heads e"]:
        """Values as `attention` takes them."""
        return jnp.swapaxes(self.v, -3, -2)


def empty_cache(
    batch: tuple[int, ...],
    size: int,
    heads: int,
    d: int,
    *,
    d_value: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Cache:
    """A cache of zeros with room for `size` elements.

    Args:
      batch: leading axes.
      size: the longest sequence.
      heads: heads of keys and values.
      d: channels of a key.
      d_value: channels of a value; `d` if None.
      dtype: of keys and values.
    """
    k = jnp.zeros((*batch, heads, size, d), dtype)
    v = jnp.zeros((*batch, heads, size, d if d_value is None else d_value), dtype)
    return Cache(k, v, jnp.zeros((), jnp.int32))


def extend_cache(
    cache: Cache,
    k: Float[Array, "*batch t heads d"],
    v: Float[Array, "*batch t heads e"],
) -> Cache:
    """The cache with t more elements, written behind its first `length`.

    A cache that overflows while its length is traced cannot raise: its newest elements become NaN,
    and so does what attends to them, rather than a plausible answer from overwritten ones.

    Args:
      cache: what came before.
      k: new keys.
      v: new values.

    Raises:
      ValueError: if t elements do not fit into an empty cache.
    """
    size, t = cache.k.shape[-2], k.shape[-3]
    if t > size:
        raise ValueError(f"{t} elements do not fit into a cache of size {size}")

    def write(old: Array, new: Array) -> Array:
        new = jnp.swapaxes(new, -3, -2).astype(old.dtype)
        new = jnp.where(cache.length + t <= size, new, jnp.nan)
        return lax.dynamic_update_slice_in_dim(old, new, cache.length, old.ndim - 2)

    return Cache(write(cache.k, k), write(cache.v, v), cache.length + t)
