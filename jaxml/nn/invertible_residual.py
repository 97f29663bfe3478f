# SPDX-License-Identifier: Apache-2.0
"""The flow layer y = x + g(x), g a network that is a contraction whatever its weights are."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.bijections import residual, residual_inverse
from jaxml.layers import spectral_bound
from jaxml.layers.activation import swish
from jaxml.nn.composed import Context, Event, LogDet


class Weights(NamedTuple):
    """Of a contraction, one kernel and bias a layer; `context` is None without a context."""

    kernels: tuple[Float[Array, "n_in n_out"], ...]
    biases: tuple[Float[Array, " n_out"], ...]
    context: Float[Array, "n_context n_out"] | None


class LipschitzMLP(nnx.Module):
    """W_L a(… a(W_1 x + C c + b_1) …) + b_L with |f(x) − f(x′)| ≤ lipschitz · |x − x′|.

    Each W counts as W · min(1, c/σ̄), σ̄ ≥ σ from `spectral_bound` and c the L-th root of the
    constant; a(h) = h σ(h)/1.1 has slopes in [−1, 1] and a continuous second derivative.

    Args:
      n: features of x and of the output.
      widths: hidden features, one number a layer.
      n_context: features of a context, read by the first layer, freely.
      lipschitz: the constant, below 1 for a contraction.
      rngs: keys for initialization; the last kernel begins at 0.

    Raises:
      ValueError: for sizes below 1, or a constant that is not in (0, 1); when called, for a context
        that the network does not have or lacks.

    Reference: Behrmann et al. 2019, equation 2, arXiv:1811.00995; the activation is LipSwish, Chen
    et al. 2019, section 3.3, arXiv:1906.02735.
    """

    def __init__(
        self,
        n: int,
        widths: Sequence[int],
        *,
        n_context: int = 0,
        lipschitz: float = 0.9,
        rngs: nnx.Rngs,
    ):
        if min(n, *widths, 1) < 1 or n_context < 0:
            raise ValueError(f"n, widths: expected positive sizes, got {n}, {tuple(widths)}")
        if not 0 < lipschitz < 1:
            raise ValueError(f"lipschitz: expected a number between 0 and 1, got {lipschitz}")
        *hidden, last = pairwise((n, *widths, n))
        init = nnx.initializers.orthogonal()
        kernels = [init(rngs.params(), sizes) for sizes in hidden]
        self.kernels = nnx.List(nnx.Param(kernel) for kernel in [*kernels, jnp.zeros(last)])
        self.biases = nnx.List(nnx.Param(jnp.zeros(size)) for size in (*widths, n))
        first = (*widths, n)[0]
        self.context = nnx.Param(init(rngs.params(), (n_context, first))) if n_context else None
        self.n_context, self.lipschitz = n_context, lipschitz

    def weights(self) -> Weights:
        """The numbers as they count; made once, not at every step of an iteration."""
        most = self.lipschitz ** (1 / len(self.kernels))

        def bounded(kernel: Array) -> Array:
            return kernel * (most / jnp.maximum(spectral_bound(kernel), most)).astype(kernel.dtype)

        return Weights(
            tuple(bounded(kernel[...]) for kernel in self.kernels),
            tuple(bias[...] for bias in self.biases),
            None if self.context is None else self.context[...],
        )

    def __call__(self, x: Event, context: Context = None) -> Event:
        """g(x)."""
        self.check(context)
        return apply(x, self.weights(), context)

    def check(self, context: Context) -> None:
        """Refuse a context of another size."""
        given = 0 if context is None else context.shape[-1]
        if given != self.n_context:
            raise ValueError(f"context: expected {self.n_context} features, got {given}")


def apply(x: Event, weights: Weights, context: Context) -> Event:
    """The network of these weights."""
    last = len(weights.kernels) - 1
    for i, (kernel, bias) in enumerate(zip(weights.kernels, weights.biases, strict=True)):
        x = x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))
        if i == 0 and weights.context is not None and context is not None:
            x = x + context @ weights.context
        if i < last:
            x = swish(x) / 1.1
    return x


class InvertibleResidual(nnx.Module):
    """y = x + g(x), with the exact log det(I + ∂g/∂x): D passes through g, and as many back.

    The way back iterates: about log(10⁻⁷)/log c turns, c the constant of g.

    Args:
      network: g.

    Reference: Behrmann et al. 2019, arXiv:1811.00995.
    """

    def __init__(self, network: LipschitzMLP):
        self.network = network

    def forward(self, x: Event, context: Context = None) -> tuple[Event, LogDet]:
        """y and log |det ∂y/∂x|."""
        return self._move(residual, x, context)

    def inverse(self, y: Event, context: Context = None) -> tuple[Event, LogDet]:
        """x and log |det ∂x/∂y|."""
        return self._move(residual_inverse, y, context)

    def _move(self, function, x, context):
        self.network.check(context)
        weights = self.network.weights()
        return function(x, weights, context, g=apply, lipschitz=self.network.lipschitz)
