# SPDX-License-Identifier: Apache-2.0
"""A critic that is told a class by the inner product of what it sees with what it expects."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.mlp import Activation


class Projection(nnx.Module):
    """s(x, c) = ⟨w + V c, φ(x)⟩ + b with φ = a(features(x)).

    For classes log p(c | x) − log q(c | x) is such a product wherever both are softmaxes of linear
    maps of φ: the form that the optimal critic of a conditional game has.

    Args:
      features: x to `n` numbers; sees no context.
      n: how many.
      n_context: features of c.
      activation: of the numbers.
      dtype: dtype of the computation; parameters stay float32.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes below 1.

    Reference: Miyato and Koyama 2018, equation 3 and figure 1 (d), arXiv:1802.05637.
    """

    def __init__(
        self,
        features: Callable[[Array], Array],
        n: int,
        n_context: int,
        *,
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        for name, size in {"n": n, "n_context": n_context}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        self.features, self.activation = features, activation
        self.score = nnx.Linear(n, 1, dtype=dtype, rngs=rngs)
        self.expected = nnx.Linear(n_context, n, use_bias=False, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch *event"], context: Float[Array, "batch n_context"]
    ) -> Float[Array, "batch"]:
        """A score an example."""
        seen = self.activation(self.features(x))
        return self.score(seen)[:, 0] + jnp.sum(self.expected(context) * seen, axis=-1)
