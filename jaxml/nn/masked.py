# SPDX-License-Identifier: Apache-2.0
"""MADE: a network whose i-th output sees the inputs before i in an order, and nothing else."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxml.layers.masking import degree_masks, made_degrees
from jaxml.types import Key

Context = Float[Array, "*batch n_context"] | None
Draw = Callable[[Array, Key], tuple[Array, Array]]
"""`(raw, key) -> (x_i, its features)` of a batch."""


class MADE(nnx.Module):
    """h₁ = (M₁ ⊙ W₁) x, h_l = (M_l ⊙ W_l) a(h_l₋₁), output (M ⊙ V) a(h_L): masked products.

    A context is seen by every output, through the first layer and through a map of its own to the
    outputs: the first element of the order has no other input.

    Args:
      n: D, the number of inputs.
      widths: hidden units, one number a layer.
      n_raw: outputs an input.
      n_features: numbers an input, side by side: one-hot categories have several.
      direct: outputs also see the inputs through a masked linear map of their own.
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
        n_features: int = 1,
        direct: bool = False,
        order: Sequence[int] | None = None,
        n_context: int = 0,
        residual: bool = False,
        activation: Callable[[Array], Array] = jax.nn.relu,
        rngs: nnx.Rngs,
    ):
        widths = tuple(widths)
        if not widths or (residual and len(set(widths)) > 1):
            raise ValueError(f"widths: expected one or more, equal if residual, got {widths}")
        for name, size in {"n": n, "n_raw": n_raw, "n_features": n_features}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        self.n, self.widths, self.n_raw, self.residual = n, widths, n_raw, residual
        self.n_features = n_features
        self.order = tuple(order) if order is not None else tuple(range(1, n + 1))
        self.activation = activation
        made_degrees(self.order, widths)  # refuses what is no order
        init = nnx.initializers.lecun_normal()
        sizes = (n * n_features, *widths)
        self.kernels = nnx.List(
            nnx.Param(init(rngs.params(), pair, jnp.float32)) for pair in pairwise(sizes)
        )
        self.biases = nnx.List(nnx.Param(jnp.zeros(width)) for width in widths)
        self.last = nnx.Param(jnp.zeros((widths[-1], n, n_raw)))
        self.last_bias = nnx.Param(jnp.zeros((n, n_raw)))
        shape = (n * n_features, n, n_raw)
        self.direct = nnx.Param(jnp.zeros(shape)) if direct else None
        shape = (n_context, widths[0])
        first = nnx.Param(init(rngs.params(), shape, jnp.float32)) if n_context else None
        self.context = first
        self.last_context = nnx.Param(jnp.zeros((n_context, n, n_raw))) if n_context else None

    def __call__(
        self,
        x: Float[Array, "*batch n_in"],
        context: Context = None,
        *,
        degrees: Sequence[Array] | None = None,
    ) -> Float[Array, "*batch n raw"]:
        """`n_raw` numbers for each input, made of the inputs before it.

        Args:
          x: the inputs, `n_features` numbers each.
          context: what every output sees.
          degrees: of the inputs and of every hidden layer, in place of the network's own; see
            `jaxml.layers.masking.drawn_degrees`.
        """
        self.check(context)
        *kernels, last = self.masked(degrees)
        h = x @ kernels[0] + self.first(context, x.ndim)
        for kernel, bias in zip(kernels[1:], self.biases[1:], strict=True):
            new = self.activation(h) @ kernel + _row(bias[...], h)
            h = h + new if self.residual else new
        raw = self.activation(h) @ last.reshape(len(last), -1)
        if self.direct is not None:
            raw = raw + x @ self._beside(self.direct, degrees).reshape(x.shape[-1], -1)
        raw = raw.reshape(*x.shape[:-1], self.n, self.n_raw)
        return raw + self.outermost(context, x.ndim + 1)

    def walk(
        self,
        draw: Draw,
        key: Key,
        n: int,
        context: Context = None,
        *,
        degrees: Sequence[Array] | None = None,
    ) -> Array:
        """n rows `(n, D)`, input by input of the outputs that those before it make: D passes.

        Args:
          draw: `(raw, key) -> (x_i, its features)` of a batch.
          key: for the draws.
          n: how many.
          context: a row a draw.
          degrees: as in a call.
        """
        order = jnp.asarray(self.order) if degrees is None else degrees[0]
        shapes = jax.eval_shape(draw, jnp.zeros((n, self.n_raw), self.last[...].dtype), key)
        values, features = (jnp.zeros((self.n, *s.shape), s.dtype) for s in shapes)

        def step(known: tuple[Array, Array], place: tuple) -> tuple[tuple[Array, Array], None]:
            i, own_key = place
            x = known[1].swapaxes(0, 1).reshape(n, -1)
            raw = jnp.take(self(x, context, degrees=degrees), i, axis=1)
            new = draw(raw, own_key)
            known = known[0].at[i].set(new[0]), known[1].at[i].set(new[1])
            return known, None

        places = jnp.argsort(order), jax.random.split(key, self.n)
        return jax.lax.scan(step, (values, features), places)[0][0].T

    def check(self, context: Context) -> None:
        """Refuses a context where the network has none, and its absence where it has one."""
        kernel = self.context
        if (context is None) != (kernel is None):
            wanted = "none" if kernel is None else f"{kernel.shape[0]} features"
            told = "none" if context is None else f"{context.shape[-1]} features"
            raise ValueError(f"context: expected {wanted}, got {told}")

    def masked(self, degrees: Sequence[Array] | None = None) -> list[Array]:
        """M ⊙ W of every layer, the last one as `(hidden, n, n_raw)`."""
        own = made_degrees(self.order, self.widths) if degrees is None else degrees
        first, *masks, last = degree_masks(own)
        masks = [first.repeat(self.n_features, axis=0), *masks]
        kernels = [jnp.where(m, k[...], 0.0) for m, k in zip(masks, self.kernels, strict=True)]
        return [*kernels, jnp.where(last[..., None], self.last[...], 0.0)]

    def _beside(self, kernel: nnx.Param, degrees: Sequence[Array] | None) -> Array:
        """M ⊙ W of the map from inputs to outputs, `(n_in, n, n_raw)`."""
        order = jnp.asarray(self.order) if degrees is None else degrees[0]
        mask = (order[:, None] < order[None]).repeat(self.n_features, axis=0)
        return jnp.where(mask[..., None], kernel[...], 0.0)

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
