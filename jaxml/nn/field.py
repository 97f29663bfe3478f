# SPDX-License-Identifier: Apache-2.0
"""Vector fields f(t, x, context): networks in which time and context act on every layer."""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.mlp import Activation
from jaxml.types import Scalar

Context = Float[Array, "*batch n_context"] | None


class ConcatSquash(nnx.Module):
    """(W x + b) ⊙ σ(V c + a) + U c: an affine map whose gain and offset a condition c sets.

    Args:
      n_in: input features.
      n_out: output features.
      n_condition: features of c, such as the time.
      kernel_init: initializer of W.
      offset_init: that of U.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Reference: the layer of the published experiments of Grathwohl et al. 2019, arXiv:1810.01367.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_condition: int,
        *,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        offset_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.linear = nnx.Linear(n_in, n_out, kernel_init=kernel_init, dtype=dtype, rngs=rngs)
        self.gate = nnx.Linear(n_condition, n_out, dtype=dtype, rngs=rngs)
        self.offset = nnx.Linear(
            n_condition, n_out, use_bias=False, kernel_init=offset_init, dtype=dtype, rngs=rngs
        )

    def __call__(
        self, x: Float[Array, "*batch n_in"], condition: Float[Array, "*batch n_condition"]
    ) -> Float[Array, "*batch n_out"]:
        """The output for each row of x and c."""
        return self.linear(x) * nnx.sigmoid(self.gate(condition)) + self.offset(condition)


class VectorField(nnx.Module):
    """f(t, x, context): ConcatSquash layers that all see (t, context), an activation in between.

    Args:
      n: features of x and of its rate.
      widths: hidden features, one number a layer.
      n_context: features of a context.
      activation: smooth, since a solver follows f and a density needs its derivatives: a kink
        costs steps, and the trace of a ReLU field jumps.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization. The last layer begins at 0, and so does f.

    Raises:
      ValueError: for a size below 1 and, when called, for a context that the field does not have
        or lacks.
    """

    def __init__(
        self,
        n: int,
        widths: Sequence[int],
        *,
        n_context: int = 0,
        activation: Activation = jnp.tanh,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        for name, size in {"n": n, "widths": min(widths, default=1)}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        if n_context < 0:
            raise ValueError(f"n_context: expected at least 0, got {n_context}")
        self.n_context, self.activation = n_context, activation
        zeros = nnx.initializers.zeros_init()
        *hidden, last = pairwise((n, *widths, n))
        self.layers = nnx.List(
            ConcatSquash(*sizes, 1 + n_context, dtype=dtype, rngs=rngs) for sizes in hidden
        )
        self.last = ConcatSquash(
            *last, 1 + n_context, kernel_init=zeros, offset_init=zeros, dtype=dtype, rngs=rngs
        )

    def __call__(
        self, t: Scalar, x: Float[Array, "*batch n"], context: Context = None
    ) -> Float[Array, "*batch n"]:
        """The rate of change of every x at the time t."""
        given = 0 if context is None else context.shape[-1]
        if given != self.n_context:
            raise ValueError(f"context: expected {self.n_context} features, got {given}")
        condition = jnp.broadcast_to(t.astype(x.dtype), (*x.shape[:-1], 1))
        if context is not None:
            condition = jnp.concatenate([condition, context.astype(x.dtype)], axis=-1)
        h = x
        for layer in self.layers:
            h = self.activation(layer(h, condition))
        return self.last(h, condition)
