# SPDX-License-Identifier: Apache-2.0
"""Fully connected networks: plain, and residual with layer normalization."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.normalization import LayerNorm

Activation = Callable[[Array], Array]


def attach(
    x: Float[Array, "*batch n_in"], context: Float[Array, "*batch n_context"] | None
) -> Float[Array, "*batch _"]:
    """The input of a conditional network: (x, context) along the last axis."""
    return x if context is None else jnp.concatenate([x, context.astype(x.dtype)], axis=-1)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected a positive size, got {size}")


class MLP(nnx.Module):
    """f(x) = W_L a(... a(W_1 x + b_1) ...) + b_L.

    Args:
      n_in: input features.
      widths: hidden features, one number a layer; none at all gives an affine map.
      n_out: output features.
      n_context: features of a context that is concatenated to the input.
      activation: a.
      kernel_init: initializer of the weight matrices.
      last_init: that of the last one, if another; zeros make a flow begin as the identity.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.
    """

    def __init__(
        self,
        n_in: int,
        widths: Sequence[int],
        n_out: int,
        *,
        n_context: int = 0,
        activation: Activation = jax.nn.silu,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        last_init: nnx.Initializer | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        sizes = (n_in + n_context, *widths, n_out)
        _check_sizes(n_in=n_in, n_out=n_out, widths=min(sizes))
        self.activation = activation
        inits = [kernel_init] * len(widths) + [last_init or kernel_init]
        self.layers = nnx.List(
            nnx.Linear(a, b, kernel_init=init, dtype=dtype, rngs=rngs)
            for (a, b), init in zip(pairwise(sizes), inits, strict=True)
        )

    def __call__(
        self,
        x: Float[Array, "*batch n_in"],
        context: Float[Array, "*batch n_context"] | None = None,
    ) -> Float[Array, "*batch n_out"]:
        """f(x), or f((x, context)) in a conditional network."""
        h = attach(x, context)
        *hidden, last = self.layers
        for layer in hidden:
            h = self.activation(layer(h))
        return last(h)


class ResidualBlock(nnx.Module):
    """h + W₂ a(W₁ LN(h) + b₁) + b₂; W₂ starts at 0 and the block as the identity."""

    def __init__(
        self, width: int, *, activation: Activation, dtype: DTypeLike | None, rngs: nnx.Rngs
    ):
        self.activation = activation
        self.norm = LayerNorm(width)
        self.first = nnx.Linear(width, width, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(
            width, width, kernel_init=nnx.initializers.zeros_init(), dtype=dtype, rngs=rngs
        )

    def __call__(self, h: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        """The next state of the residual stream."""
        return h + self.second(self.activation(self.first(self.norm(h))))


class ResidualMLP(nnx.Module):
    """An affine map to `width` features, `n_blocks` residual blocks, an affine map to the output.

    Args:
      n_in: input features.
      width: features of the residual stream.
      n_blocks: number of residual blocks.
      n_out: output features.
      n_context: features of a context that is concatenated to the input.
      activation: used in the blocks and before the last map.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        n_blocks: int,
        n_out: int,
        *,
        n_context: int = 0,
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        _check_sizes(n_in=n_in, width=width, n_blocks=n_blocks, n_out=n_out)
        self.activation = activation
        self.first = nnx.Linear(n_in + n_context, width, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List(
            ResidualBlock(width, activation=activation, dtype=dtype, rngs=rngs)
            for _ in range(n_blocks)
        )
        self.last = nnx.Linear(width, n_out, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "*batch n_in"],
        context: Float[Array, "*batch n_context"] | None = None,
    ) -> Float[Array, "*batch n_out"]:
        """f(x), or f((x, context)) in a conditional network."""
        h = self.first(attach(x, context))
        for block in self.blocks:
            h = block(h)
        return self.last(self.activation(h))
