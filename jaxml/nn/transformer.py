# SPDX-License-Identifier: Apache-2.0
"""Transformers on tokens: in both directions for masked diffusion, causal for autoregression."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxml.layers.activation import gelu_by_tanh
from jaxml.layers.embedding import lookup
from jaxml.nn.mlp import Activation
from jaxml.nn.normalization import LayerNorm
from jaxml.nn.time import TimeEmbedding
from jaxml.nn.transformer_block import AdaptiveNorm, Caches, Norm, TransformerStack
from jaxml.types import Key

Tokens = Int[Array, "batch length"]
Time = Float[Array, "batch"] | None
Context = Float[Array, "batch n_context"] | None
Output = Float[Array, "batch length n_out"]


class Transformer(nnx.Module):
    """f(tokens, t, c): n_out numbers for every token, by blocks of attention under one loop.

    The last layer begins at 0, so that logits say at first that all are equally likely.

    Args:
      n_tokens: how many there are, a mask among them if there is one.
      width: features of the residual stream.
      n_layers: blocks.
      n_heads: of each attention.
      n_out: numbers of an output, such as the logits of the next token.
      length: the longest sequence.
      causal: an output depends on its own token and on those before it, and on no later one.
      timed: whether t acts, by adaptive layer norms. An untimed network passes over t: what is
        best for a masked diffusion does not depend on it.
      n_context: features of c, which acts as t does; without c it is 0.
      n_kv_heads: see `SelfAttention`.
      rotary: positions turn queries and keys, in place of a table of positions that is learned.
      normalize_qk: see `SelfAttention`.
      norm: `LayerNorm` or `RMSNorm`.
      expansion: see `TransformerBlock`.
      activation: see `TransformerBlock`.
      gated_mlp: see `TransformerBlock`.
      dropout: share of a branch's outputs left out where a key is given.
      remat: see `TransformerStack`.
      dtype: dtype of the computation; parameters stay float32.
      rngs: keys for initialization; embeddings from N(0, 0.02²).

    Raises:
      ValueError: for sizes that do not fit and, when called, for sequences longer than `length`,
        for a time that is missing, and for a context that the network does not have.

    Reference: Radford et al. 2019, section 2.3; with time, Peebles and Xie 2023, section 3.2,
    arXiv:2212.09748.
    """

    def __init__(
        self,
        n_tokens: int,
        width: int,
        n_layers: int,
        n_heads: int,
        n_out: int,
        *,
        length: int,
        causal: bool = False,
        timed: bool = False,
        n_context: int = 0,
        n_kv_heads: int | None = None,
        rotary: bool = False,
        normalize_qk: bool = False,
        norm: Norm = LayerNorm,
        expansion: int = 4,
        activation: Activation = gelu_by_tanh,
        gated_mlp: bool = False,
        dropout: float = 0.0,
        remat: bool = False,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        for name, size in {"n_tokens": n_tokens, "n_out": n_out, "length": length}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        if n_context < 0:
            raise ValueError(f"n_context: expected at least 0, got {n_context}")
        small, zeros = nnx.initializers.normal(0.02), nnx.initializers.zeros_init()
        self.length, self.n_context, self.dtype = length, n_context, dtype
        self.tokens = nnx.Param(small(rngs.params(), (n_tokens, width)))
        self.positions = None if rotary else nnx.Param(small(rngs.params(), (length, width)))
        options = {"dtype": dtype, "rngs": rngs}
        self.time = TimeEmbedding(width, n_context=n_context, **options) if timed else None
        alone = n_context > 0 and not timed
        self.context = nnx.Linear(n_context, width, **options) if alone else None
        n_condition = width if timed or n_context else 0
        self.stack = TransformerStack(
            n_layers,
            width,
            n_heads,
            remat=remat,
            n_condition=n_condition,
            n_kv_heads=n_kv_heads,
            causal=causal,
            rotary=rotary,
            normalize_qk=normalize_qk,
            norm=norm,
            expansion=expansion,
            activation=activation,
            gated_mlp=gated_mlp,
            dropout=dropout,
            **options,
        )
        self.norm = AdaptiveNorm(width, n_condition, gated=False, norm=norm, **options)
        self.last = nnx.Linear(width, n_out, kernel_init=zeros, **options)

    def __call__(
        self, tokens: Tokens, t: Time = None, context: Context = None, *, key: Key | None = None
    ) -> Output:
        """f for every token; without a key nothing is dropped."""
        condition = self._condition(len(tokens), t, context)
        h = self._embedded(tokens, jnp.zeros((), jnp.int32))
        h = self.stack(h, condition, key=key)
        return self.last(self.norm(h, condition)[0])

    def empty_cache(self, batch: int, size: int | None = None) -> Caches:
        """What `extend` begins with: room for `size` tokens of every sequence, or for `length`.

        Raises:
          ValueError: if more are asked for than `length`.
        """
        size = self.length if size is None else size
        if size > self.length:
            raise ValueError(f"size: expected at most {self.length} tokens, got {size}")
        return self.stack.empty_cache(batch, size)

    def extend(
        self, tokens: Tokens, cache: Caches, t: Time = None, context: Context = None
    ) -> tuple[Output, Caches]:
        """f for new tokens behind those of the cache, and the cache with them.

        Raises:
          ValueError: unless causal.
        """
        condition = self._condition(len(tokens), t, context)
        h = self._embedded(tokens, cache[0].length)
        h, cache = self.stack.extend(h, cache, condition)
        return self.last(self.norm(h, condition)[0]), cache

    def _embedded(self, tokens: Tokens, start: Int[Array, ""]) -> Float[Array, "batch length _"]:
        n = tokens.shape[1]
        if n > self.length:
            raise ValueError(f"tokens: expected at most {self.length} a sequence, got {n}")
        h = lookup(self.tokens[...], tokens)
        if self.positions is not None:
            rows = jax.lax.dynamic_slice_in_dim(self.positions[...], start, n)
            h = h + rows[None]
        return h if self.dtype is None else h.astype(self.dtype)

    def _condition(self, batch: int, t: Time, context: Context) -> Float[Array, "batch _"] | None:
        given = self.n_context if context is None else context.shape[-1]
        if given != self.n_context:
            raise ValueError(f"context: expected {self.n_context} features, got {given}")
        if self.time is not None:
            if t is None:
                raise ValueError("t: expected a time for every sequence, got none")
            return jax.nn.silu(self.time(t, context))
        if self.context is None:
            return None
        kernel = self.context.kernel[...]
        c = jnp.zeros((batch, self.n_context), kernel.dtype) if context is None else context
        return jax.nn.silu(self.context(c))
