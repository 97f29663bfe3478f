# SPDX-License-Identifier: Apache-2.0
"""NADE: one hidden layer that is carried from input to input, each adding its own."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxml.layers.masking import made_degrees
from jaxml.nn.masked import Draw
from jaxml.types import Key

Context = Float[Array, "batch n_context"] | None


class NADE(nnx.Module):
    """raw_i = V_i a(c + Σ_{j<i} W_j x_j) + b_i: the same W for every i, so that all cost as one.

    Args:
      n: D, the number of inputs.
      width: hidden units.
      n_raw: outputs an input.
      n_features: numbers an input, side by side.
      order: place of each input in the factorization, a permutation of 1 … D; None is 1 … D.
      n_context: features of a context, which moves c and every b_i.
      activation: a.
      rngs: keys for initialization. V begins at 0.

    Raises:
      ValueError: for an order that is none, sizes below 1, and, when called, for a context that the
        network does not have or lacks.

    Reference: Larochelle and Murray 2011, The neural autoregressive distribution estimator,
    equations 4 and 5; Uria et al. 2016, section 2, arXiv:1605.02226.
    """

    def __init__(
        self,
        n: int,
        width: int,
        n_raw: int,
        *,
        n_features: int = 1,
        order: Sequence[int] | None = None,
        n_context: int = 0,
        activation: Callable[[Array], Array] = jax.nn.sigmoid,
        rngs: nnx.Rngs,
    ):
        sizes = {"n": n, "width": width, "n_raw": n_raw, "n_features": n_features}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        self.n, self.width, self.n_raw, self.n_features = n, width, n_raw, n_features
        self.order = tuple(order) if order is not None else tuple(range(1, n + 1))
        made_degrees(self.order, ())  # refuses what is no order
        self.activation = activation
        init = nnx.initializers.lecun_normal()
        kernel = init(rngs.params(), (n * n_features, width), jnp.float32)
        self.kernel = nnx.Param(kernel.reshape(n, n_features, width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.last = nnx.Param(jnp.zeros((n, width, n_raw)))
        self.last_bias = nnx.Param(jnp.zeros((n, n_raw)))
        shape = (n_context, width)
        self.context = nnx.Param(init(rngs.params(), shape, jnp.float32)) if n_context else None
        self.last_context = nnx.Param(jnp.zeros((n_context, n, n_raw))) if n_context else None

    def __call__(
        self, x: Float[Array, "batch n_in"], context: Context = None
    ) -> Float[Array, "batch n raw"]:
        """`n_raw` numbers for each input, made of the inputs before it."""
        given = x.reshape(len(x), self.n, self.n_features).swapaxes(0, 1)[self._sequence()]
        raw = self._run(lambda raw, own: (raw, own), given, len(x), context)
        return raw[self._places()].swapaxes(0, 1)

    def walk(self, draw: Draw, key: Key, n: int, context: Context = None) -> Array:
        """n rows `(n, D)`, input by input of the outputs that those before it make: one pass."""
        x = self._run(draw, jax.random.split(key, self.n), n, context)
        return x[self._places()].T

    def _sequence(self) -> np.ndarray:
        return np.argsort(self.order)

    def _places(self) -> np.ndarray:
        return np.asarray(self.order) - 1

    def _run(
        self, advance: Callable[[Array, Any], tuple[Array, Array]], given: Any, n: int, c: Context
    ) -> Array:
        """What `advance(raw_i, given_i) -> (kept, features of x_i)` keeps, place by place."""
        kernel = self.context
        if (c is None) != (kernel is None):
            wanted = "none" if kernel is None else f"{kernel.shape[0]} features"
            told = "none" if c is None else f"{c.shape[-1]} features"
            raise ValueError(f"context: expected {wanted}, got {told}")
        sequence, dtype = self._sequence(), self.bias[...].dtype
        hidden = jnp.broadcast_to(self.bias[...], (n, self.width)).astype(dtype)
        outer = jnp.broadcast_to(self.last_bias[...][sequence, None], (self.n, n, self.n_raw))
        if c is not None and kernel is not None and self.last_context is not None:
            hidden = hidden + c @ kernel[...]
            shift = jnp.tensordot(c, self.last_context[...], 1).swapaxes(0, 1)
            outer = outer + shift[sequence]

        def step(hidden: Array, place: tuple) -> tuple[Array, Array]:
            own, into, out, outer = place
            kept, features = advance(self.activation(hidden) @ out + outer, own)
            return hidden + features @ into, kept

        places = given, self.kernel[...][sequence], self.last[...][sequence], outer
        return jax.lax.scan(step, hidden, places)[1]
