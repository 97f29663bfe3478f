# SPDX-License-Identifier: Apache-2.0
"""MADE: a network whose i-th output sees the inputs before i in an order, and nothing else."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxml.layers.masking import made_degrees, made_masks

Context = Float[Array, "*batch n_context"] | None


class MADE(nnx.Module):
    """h₁ = (M₁ ⊙ W₁) x, h_l = (M_l ⊙ W_l) a(h_l₋₁), output (M ⊙ V) a(h_L): masked products.

    A context is seen by every output, through the first layer and through a map of its own to the
    outputs: the first element of the order has no other input.

    Args:
      n: D, the number of inputs.
      widths: hidden units, one number a layer.
      n_raw: outputs an input.
      order: place of each input in the factorization, a permutation of 1 … D; None is 1 … D.
      n_context: features of a context.
      residual: h_l = h_l₋₁ + (M_l ⊙ W_l) a(h_l₋₁) between equal widths.
      activation: a.
      rngs: keys for initialization. The last layer begins at 0.

    Raises:
      ValueError: for an order that is none, for unequal widths with `residual`, and, when called,
        for a context that the network does not have or lacks.

    Reference: Germain et al. 2015, arXiv:1502.03509.
    """

    def __init__(
        self,
        n: int,
        widths: Sequence[int],
        n_raw: int,
        *,
        order: Sequence[int] | None = None,
        n_context: int = 0,
        residual: bool = False,
        activation: Callable[[Array], Array] = jax.nn.relu,
        rngs: nnx.Rngs,
    ):
        widths = tuple(widths)
        if not widths or (residual and len(set(widths)) > 1):
            raise ValueError(f"widths: expected one or more, equal if residual, got {widths}")
        self.n, self.widths, self.n_raw, self.residual = n, widths, n_raw, residual
        self.order = tuple(order) if order is not None else tuple(range(1, n + 1))
        self.activation = activation
        made_degrees(self.order, widths)  # refuses what is no order
        init = nnx.initializers.lecun_normal()
        sizes = (n, *widths)
        self.kernels = nnx.List(
            nnx.Param(init(rngs.params(), pair, jnp.float32)) for pair in pairwise(sizes)
        )
        self.biases = nnx.List(nnx.Param(jnp.zeros(width)) for width in widths)
        self.last = nnx.Param(jnp.zeros((widths[-1], n, n_raw)))
        self.last_bias = nnx.Param(jnp.zeros((n, n_raw)))
        shape = (n_context, widths[0])
        first = nnx.Param(init(rngs.params(), shape, jnp.float32)) if n_context else None
        self.context = first
        self.last_context = nnx.Param(jnp.zeros((n_context, n, n_raw))) if n_context else None

    def __call__(
        self, x: Float[Array, "*batch n"], context: Context = None
    ) -> Float[Array, "*batch n raw"]:
        """`n_raw` numbers for each input, made of the inputs before it."""
        self.check(context)
        *kernels, last = self.masked()
        h = x @ kernels[0] + self.first(context, x.ndim)
        for kernel, bias in zip(kernels[1:], self.biases[1:], strict=True):
            new = self.activation(h) @ kernel + _row(bias[...], h)
            h = h + new if self.residual else new
        raw = self.activation(h) @ last.reshape(len(last), -1)
        return raw.reshape(*x.shape, self.n_raw) + self.outermost(context, x.ndim + 1)

    def check(self, context: Context) -> None:
        """Refuses a context where the network has none, and its absence where it has one."""
        kernel = self.context
        if (context is None) != (kernel is None):
            wanted = "none" if kernel is None else f"{kernel.shape[0]} features"
            told = "none" if context is None else f"{context.shape[-1]} features"
            raise ValueError(f"context: expected {wanted}, got {told}")

    def masked(self) -> list[Array]:
        """M ⊙ W of every layer, the last one as `(hidden, n, n_raw)`."""
        masks = made_masks(self.order, self.widths)
        kernels = [jnp.where(m, k[...], 0.0) for m, k in zip(masks, self.kernels, strict=False)]
        return [*kernels, jnp.where(masks[-1][..., None], self.last[...], 0.0)]

    def first(self, context: Context, n_axes: int) -> Array:
        """What is added to the first layer: bias and context."""
        bias = self.biases[0][...].reshape((1,) * (n_axes - 1) + (-1,))
        if context is None or self.context is None:
            return bias
        return context @ self.context[...] + bias

    def outermost(self, context: Context, n_axes: int) -> Array:
        """What is added to the outputs: bias and context."""
        bias = self.last_bias[...].reshape((1,) * (n_axes - 2) + self.last_bias.shape)
        if context is None or self.last_context is None:
            return bias
        return jnp.tensordot(context, self.last_context[...], 1) + bias


def _row(x: Array, like: Array) -> Array:
    return x.reshape((1,) * (like.ndim - 1) + x.shape)


def groups(order: Sequence[int], width: int) -> np.ndarray:
    """Hidden units by degree, `(D − 1, g)`, filled up with `width` where a degree has fewer."""
    degree = made_degrees(order, (width,))[1]
    rows = [np.flatnonzero(degree == d) for d in range(1, max(len(order), 2))]
    table = np.full((len(rows), max(map(len, rows))), width)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table
