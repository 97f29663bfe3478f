# SPDX-License-Identifier: Apache-2.0
"""Self-attention as a module: a sequence that looks at itself, at once or as it grows."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxml.layers.attention import attention
from jaxml.layers.attention_cache import Cache, empty_cache, extend_cache
from jaxml.layers.rotary import rotary as turned
from jaxml.nn.normalization import RMSNorm

Vectors = Float[Array, "*batch t width"]


class SelfAttention(nnx.Module):
    """W_o attention(q, k, v) + b_o with (q, k, v) = W x + b, one matrix product for the three.

    Without `causal` and `rotary` it knows no order: permuted elements give permuted outputs.

    Args:
      width: features of x and of the output, shared out among the heads.
      n_heads: how many.
      n_kv_heads: heads of keys and values, each for equally many queries; None for as many as
        there are queries. Fewer make the cache of `extend` smaller.
      causal: an element sees none that comes later.
      rotary: queries and keys are turned by their positions.
      normalize_qk: each head's queries and keys are brought to one length, with a gain for every
        feature: logits then stay bounded however large the features of x become.
      out_init: initializer of W_o; zeros let a residual branch begin as nothing.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: if the heads do not divide the features, those of keys and values the heads, or
        rotary pairs do not fit into a head.

    Reference: Vaswani et al. 2017, section 3.2, arXiv:1706.03762; grouped queries: Ainslie et al.
    2023, section 2.2, arXiv:2305.13245; normalized queries and keys: Dehghani et al. 2023,
    arXiv:2302.05442, with LayerNorm.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        n_kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        normalize_qk: bool = False,
        out_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if width < 1 or n_heads < 1 or width % n_heads:
            raise ValueError(f"n_heads: expected a divisor of width = {width}, got {n_heads}")
        d = width // n_heads
        if rotary and d % 2:
            raise ValueError(f"rotary: expected an even number of features a head, got {d}")
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        if n_kv_heads < 1 or n_heads % n_kv_heads:
            raise ValueError(
                f"n_kv_heads: expected a divisor of n_heads = {n_heads}, got {n_kv_heads}"
            )
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.causal, self.rotary = causal, rotary
        self.qkv = nnx.Linear(width, (n_heads + 2 * n_kv_heads) * d, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(width, width, kernel_init=out_init, dtype=dtype, rngs=rngs)
        self.norms = nnx.List([RMSNorm(d), RMSNorm(d)] if normalize_qk else [])

    def __call__(self, x: Vectors) -> Vectors:
        """The output for every element."""
        q, k, v = self._heads(x, jnp.arange(x.shape[-2], dtype=jnp.int32))
        return self._joined(attention(q, k, v, causal=self.causal))

    def empty_cache(self, batch: tuple[int, ...], size: int) -> Cache:
        """A cache for `extend` with room for `size` elements, for sequences of the given batch."""
        n = self.out.in_features
        dtype = self.qkv.dtype or self.qkv.kernel[...].dtype
        return empty_cache(batch, size, self.n_kv_heads, n // self.n_heads, dtype=dtype)

    def extend(self, x: Vectors, cache: Cache) -> tuple[Vectors, Cache]:
        """The output for new elements behind those of the cache, and the cache with them.

        Raises:
          ValueError: unless causal: what came before would change with what comes after.
        """
        if not self.causal:
            raise ValueError("causal: a cache serves causal attention only")
        start = cache.length
        q, k, v = self._heads(x, start + jnp.arange(x.shape[-2], dtype=jnp.int32))
        cache = extend_cache(cache, k, v)
        return self._joined(
            attention(q, cache.keys, cache.values, causal=True, offset=start)
        ), cache

    def _heads(self, x: Array, position: Int[Array, " t"]) -> tuple[Array, Array, Array]:
        n, n_kv = self.n_heads, self.n_kv_heads
        qkv = self.qkv(x)
        heads = qkv.reshape(*x.shape[:-1], n + 2 * n_kv, -1)
        q, k, v = jnp.split(heads, (n, n + n_kv), axis=-2)
        if self.norms:
            q, k = (norm(a) for norm, a in zip(self.norms, (q, k), strict=True))
        if self.rotary:
            q, k = turned(q, position), turned(k, position)
        return q, k, v

    def _joined(self, heads: Float[Array, "*batch t heads d"]) -> Array:
        return self.out(heads.reshape(*heads.shape[:-2], -1))
