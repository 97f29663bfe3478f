# SPDX-License-Identifier: Apache-2.0
"""Convolutional networks that keep an image's size: what couplings of images are made of."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.layers.convolution import convolution
from jaxml.layers.weight_normalization import weight_norm
from jaxml.nn.composed import Context, stacked
from jaxml.nn.convolution import Conv

Image = Float[Array, "batch h w _"]


class ContextBias(nnx.Module):
    """h + C c: a context, one for the image or one a position, read by the first hidden layer.

    Args:
      n_context: features of the context.
      width: channels of h.
      rngs: keys for initialization.
    """

    def __init__(self, n_context: int, width: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (n_context, width))) if n_context else None
        self.n_context = n_context

    def __call__(self, h: Image, context: Context) -> Image:
        """The shifted h, or h itself in an unconditional network."""
        if (context is None) != (self.kernel is None):
            given = "none" if context is None else f"one of shape {context.shape}"
            raise ValueError(f"context: expected {self.n_context} features, got {given}")
        if self.kernel is None or context is None:
            return h
        shift = context @ self.kernel[...]
        return h + (shift if shift.ndim == h.ndim else shift[:, None, None])


class PointwiseNet(nnx.Module):
    """Convolutions of 3 × 3, 1 × 1 and, by default, 3 × 3 taps, ReLU between them: that of Glow.

    Args:
      n_in: channels of the input.
      width: channels of both hidden layers.
      n_out: channels of the output.
      n_context: features of a context.
      last: taps a side of the last convolution, an odd number. It dominates the cost where an
        element takes many raw numbers, as for splines; 1 makes it as cheap as the second.
      rngs: keys for initialization; the last layer starts at 0.

    Reference: Kingma and Dhariwal 2018, section 5, arXiv:1807.03039.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        n_out: int,
        *,
        n_context: int = 0,
        last: int = 3,
        rngs: nnx.Rngs,
    ):
        if last % 2 == 0:
            raise ValueError(f"last: expected an odd number of taps, got {last}")
        he = nnx.initializers.he_normal()
        self.first = Conv(n_in, width, (3, 3), padding=1, kernel_init=he, rngs=rngs)
        self.middle = Conv(width, width, (1, 1), kernel_init=he, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.last = Conv(
            width, n_out, (last, last), padding=last // 2, kernel_init=zeros, rngs=rngs
        )
        self.context = ContextBias(n_context, width, rngs=rngs)

    def __call__(self, x: Image, context: Context = None) -> Image:
        """f(x), or f(x, context)."""
        h = jax.nn.relu(self.context(self.first(x), context))
        return self.last(jax.nn.relu(self.middle(h)))


class ResidualBlock(nnx.Module):
    """h + W₂ ReLU(W₁ ReLU(h) + b₁) + b₂ with normalized weights, which begins near the identity.

    Args:
      width: channels of h.
      rngs: keys for initialization.
    """

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(1.0)
        self.directions = nnx.Param(init(rngs.params(), (2, 3, 3, width, width)))
        self.lengths = nnx.Param(jnp.outer(jnp.array([2**0.5, 0.1]), jnp.ones(width)))
        self.biases = nnx.Param(jnp.zeros((2, width)))

    def __call__(self, h: Image) -> Image:
        """The image after the block."""
        new, directions = h, self.directions[...]
        for i in range(2):
            kernel = weight_norm(directions[i], self.lengths[...][i])
            bias = self.biases[...][i].reshape(1, 1, 1, -1)
            new = convolution(jax.nn.relu(new), kernel, padding=1) + bias
        return h + new


class ResidualNet(nnx.Module):
    """A 3 × 3 convolution, residual blocks, and a 1 × 1 convolution of ReLU(h).

    Weights of the blocks are normalized, which took the place of batch normalization: a density
    then depends on its own example alone. The blocks run under one loop.

    Args:
      n_in: channels of the input.
      width: channels of the hidden layers.
      n_out: channels of the output.
      n_blocks: how many blocks.
      n_context: features of a context.
      rngs: keys for initialization; the last layer starts at 0.

    Raises:
      ValueError: if there is no block.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, section 3.7, arXiv:1605.08803.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        n_out: int,
        *,
        n_blocks: int = 2,
        n_context: int = 0,
        rngs: nnx.Rngs,
    ):
        self.first = Conv(n_in, width, (3, 3), padding=1, rngs=rngs)
        self.blocks = stacked(lambda rngs: ResidualBlock(width, rngs=rngs), n_blocks, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.last = Conv(width, n_out, (1, 1), kernel_init=zeros, rngs=rngs)
        self.context = ContextBias(n_context, width, rngs=rngs)

    def __call__(self, x: Image, context: Context = None) -> Image:
        """f(x), or f(x, context)."""
        h = self.context(self.first(x), context)
        h = jax.lax.scan(lambda h, block: (block(h), None), h, self.blocks)[0]
        return self.last(jax.nn.relu(h))
