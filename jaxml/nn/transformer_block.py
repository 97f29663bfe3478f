# SPDX-License-Identifier: Apache-2.0
"""The block of a transformer, with or without a condition that modulates it, and many under a loop.

A residual branch begins as nothing and a block as the identity: by a gate of 0 where there is a
condition, by output kernels of 0 where there is none. Both together would never leave 0.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.activation import gelu_by_tanh
from jaxml.layers.attention_cache import Cache
from jaxml.layers.dropout import dropout as drop
from jaxml.layers.normalization import layer_norm, rms_norm
from jaxml.nn.attention import SelfAttention
from jaxml.nn.composed import stacked
from jaxml.nn.gated import GatedMLP
from jaxml.nn.mlp import MLP, Activation
from jaxml.nn.normalization import LayerNorm, RMSNorm
from jaxml.types import Key

Norm = type[LayerNorm] | type[RMSNorm]
PLAIN: dict[Any, Any] = {LayerNorm: layer_norm, RMSNorm: rms_norm}
"""The same without parameters of their own."""

Vectors = Float[Array, "batch t width"]
Condition = Float[Array, "batch n_condition"] | None
Caches = tuple[Cache, ...]


class AdaptiveNorm(nnx.Module):
    """(1 + γ) LN(h) + β and a gate α, with (γ, β, α) an affine map of a condition, 0 at first.

    Without a condition, LN with a gain and a shift of its own, and α = 1.

    Args:
      width: features of h.
      n_condition: features of the condition; 0 for none.
      gated: whether there is an α.
      norm: `LayerNorm` or `RMSNorm`.
      dtype: dtype of the computation.
      rngs: keys for initialization.

    Reference: Peebles and Xie 2023, section 3.2, arXiv:2212.09748.
    """

    def __init__(
        self,
        width: int,
        n_condition: int = 0,
        *,
        gated: bool = True,
        norm: Norm = LayerNorm,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.n_parts, self.n_condition = 3 if gated else 2, n_condition
        zeros = nnx.initializers.zeros_init()
        self.norm = PLAIN[norm] if n_condition else norm(width)
        self.modulation = (
            nnx.Linear(n_condition, self.n_parts * width, kernel_init=zeros, dtype=dtype, rngs=rngs)
            if n_condition
            else None
        )

    def __call__(self, h: Vectors, condition: Condition) -> tuple[Vectors, Array | float]:
        """The normalized h, and α."""
        given = 0 if condition is None else condition.shape[-1]
        if given != self.n_condition:
            raise ValueError(f"condition: expected {self.n_condition} features, got {given}")
        y = self.norm(h)
        if self.modulation is None or condition is None:
            return y, 1.0
        scale, shift, *gate = jnp.split(self.modulation(condition)[:, None], self.n_parts, axis=-1)
        return y * (1 + scale) + shift, gate[0] if gate else 1.0


class TransformerBlock(nnx.Module):
    """h ← h + α attention(LN(h)), then h ← h + α MLP(LN(h)), both LN adaptive; α = 0 at first.

    Without a condition α is 1 and LN has parameters of its own.

    Args:
      width: features of h.
      n_heads: of the attention.
      n_condition: features of a condition; 0 for none.
      n_kv_heads: see `SelfAttention`.
      causal: an element sees none that comes later.
      rotary: see `SelfAttention`.
      normalize_qk: see `SelfAttention`.
      norm: `LayerNorm` or `RMSNorm`.
      expansion: hidden features of the MLP over those of h.
      activation: of the MLP.
      gated_mlp: the MLP is a `GatedMLP` whose gate is the activation; with `jax.nn.silu`, SwiGLU.
      dropout: share of a branch's outputs left out where a key is given.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not fit or a dropout outside of [0, 1).

    Reference: Xiong et al. 2020, figure 1 (b), arXiv:2002.04745; with a condition, Peebles and Xie
    2023, section 3.2, arXiv:2212.09748.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        n_condition: int = 0,
        n_kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        normalize_qk: bool = False,
        norm: Norm = LayerNorm,
        expansion: int = 4,
        activation: Activation = gelu_by_tanh,
        gated_mlp: bool = False,
        dropout: float = 0.0,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), got {dropout}")
        lecun, zeros = nnx.initializers.lecun_normal(), nnx.initializers.zeros_init()
        out_init = lecun if n_condition else zeros
        self.dropout = dropout
        self.attention_norm, self.mlp_norm = (
            AdaptiveNorm(width, n_condition, norm=norm, dtype=dtype, rngs=rngs) for _ in range(2)
        )
        self.attention = SelfAttention(
            width,
            n_heads,
            n_kv_heads=n_kv_heads,
            causal=causal,
            rotary=rotary,
            normalize_qk=normalize_qk,
            out_init=out_init,
            dtype=dtype,
            rngs=rngs,
        )
        if expansion < 1:
            raise ValueError(f"expansion: expected at least 1, got {expansion}")
        make = (
            partial(GatedMLP, gate=activation) if gated_mlp else partial(MLP, activation=activation)
        )
        hidden = (expansion * width,)
        self.mlp = make(width, hidden, width, last_init=out_init, dtype=dtype, rngs=rngs)

    def __call__(
        self, h: Vectors, condition: Condition = None, *, key: Key | None = None
    ) -> Vectors:
        """The next state of the residual stream; without a key nothing is dropped."""
        one, other = (None, None) if key is None else jax.random.split(key)
        y, gate = self.attention_norm(h, condition)
        h = h + gate * self._dropped(self.attention(y), one)
        y, gate = self.mlp_norm(h, condition)
        return h + gate * self._dropped(self.mlp(y), other)

    def extend(
        self, h: Vectors, cache: Cache, condition: Condition = None
    ) -> tuple[Vectors, Cache]:
        """The next state of new elements behind those of the cache, and the cache with them."""
        y, gate = self.attention_norm(h, condition)
        y, cache = self.attention.extend(y, cache)
        h = h + gate * y
        y, gate = self.mlp_norm(h, condition)
        return h + gate * self.mlp(y), cache

    def _dropped(self, y: Array, key: Key | None) -> Array:
        return y if key is None else drop(y, key, self.dropout)


class TransformerStack(nnx.Module):
    """n blocks under one loop: one of them is compiled, however many there are.

    `extend` alone has no loop over blocks. A sequence grows inside of a loop of its own, where
    every block's cache is changed in place; as rows of one array they would be cut out of it, and
    copied, for every token.

    Args:
      n_layers: n.
      width: features of h.
      n_heads: of the attention.
      remat: in the backward pass a block is computed again from its input, and only that is kept:
        memory for n inputs and one block, for one more pass forward.
      rngs: keys for initialization.
      **options: of `TransformerBlock`.

    Raises:
      ValueError: if there is no block.
    """

    def __init__(
        self,
        n_layers: int,
        width: int,
        n_heads: int,
        *,
        remat: bool = False,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        if n_layers < 1:
            raise ValueError(f"n_layers: expected at least 1, got {n_layers}")
        self.n_layers, self.remat = n_layers, remat
        self.blocks = stacked(
            lambda rngs: TransformerBlock(width, n_heads, rngs=rngs, **options), n_layers, rngs=rngs
        )

    def __call__(
        self, h: Vectors, condition: Condition = None, *, key: Key | None = None
    ) -> Vectors:
        """h after the last block; without a key nothing is dropped."""

        def step(h: Array, given: tuple) -> tuple[Array, None]:
            block, key = given
            return block(h, condition, key=key), None

        # A loop's body is not merged with its transpose, so that nothing need prevent it.
        run = jax.checkpoint(step, prevent_cse=False) if self.remat else step
        keys = None if key is None else jax.random.split(key, self.n_layers)
        return jax.lax.scan(run, h, (self.blocks, keys))[0]

    def empty_cache(self, batch: int, size: int) -> Caches:
        """A cache for every block, with room for `size` elements."""
        empty = self.blocks.attention.empty_cache((batch,), size)
        return (empty,) * self.n_layers

    def extend(
        self, h: Vectors, caches: Caches, condition: Condition = None
    ) -> tuple[Vectors, Caches]:
        """h of new elements behind those of the caches after the last block, and the caches."""
        extended = []
        for i, cache in zip(range(self.n_layers), caches, strict=True):
            block = jax.tree.map(lambda leaf, i=i: leaf[i], self.blocks)
            h, cache = block.extend(h, cache, condition)
            extended.append(cache)
        return h, tuple(extended)
