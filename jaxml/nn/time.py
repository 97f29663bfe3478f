# SPDX-License-Identifier: Apache-2.0
"""Networks that are told a time: what a diffusion model asks about noisy data."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.embedding import sinusoidal
from jaxml.nn.composed import stacked
from jaxml.nn.mlp import Activation
from jaxml.nn.normalization import LayerNorm

Context = Float[Array, "batch n_context"] | None


class TimeEmbedding(nnx.Module):
    """W₂ a(W₁ waves(t) + U c + b₁) + b₂: a time in [0, 1] and a context as one vector.

    Without a context a conditional network takes c = 0, and so a row of zeros says that nothing is
    known: what classifier-free guidance needs of one-hot labels.

    Args:
      n_out: numbers of the vector.
      n_waves: sines and cosines together, an even number; the slowest turn by about a tenth of a
        radian, so that t is told without doubt.
      fastest: radians by which the first wave turns between t = 0 and 1. A network is as rough in
        t as this lets it be, which costs the steps of a solver that follows it.
      n_context: features of c.
      dtype: dtype of the computation; parameters stay float32. None takes that of t.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes out of range and, when called, for a context that the network does not
        have or of another size.

    Reference: Ho et al. 2020, appendix B, arXiv:2006.11239, whose times are 0 to 1000.
    """

    def __init__(
        self,
        n_out: int,
        *,
        n_waves: int = 64,
        fastest: float = 1000.0,
        n_context: int = 0,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if n_out < 1 or n_context < 0 or n_waves < 2 or n_waves % 2:
            raise ValueError(
                f"n_out, n_context, n_waves: expected a positive, a natural and an even number, "
                f"got {n_out}, {n_context}, {n_waves}"
            )
        if not fastest > 0:
            raise ValueError(f"fastest: expected a positive number, got {fastest}")
        self.n_waves, self.n_context, self.dtype = n_waves, n_context, dtype
        self.fastest = float(fastest)
        self.first = nnx.Linear(n_waves, n_out, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(n_out, n_out, dtype=dtype, rngs=rngs)
        self.context = (
            nnx.Linear(n_context, n_out, use_bias=False, dtype=dtype, rngs=rngs)
            if n_context
            else None
        )

    def __call__(
        self, t: Float[Array, "batch"], context: Context = None
    ) -> Float[Array, "batch n_out"]:
        """The vector of every time."""
        given = self.n_context if context is None else context.shape[-1]
        if given != self.n_context:
            raise ValueError(f"context: expected {self.n_context} features, got {given}")
        # Fast waves want all digits of t; what comes after may be narrower.
        waves = sinusoidal(self.fastest * t, self.n_waves, longest=10 * self.fastest)
        h = self.first(waves.astype(self.dtype or t.dtype))
        if self.context is not None and context is not None:
            h = h + self.context(context.astype(h.dtype))
        return self.second(jax.nn.silu(h))


class TimedBlock(nnx.Module):
    """h + W₂ a((1 + γ) LN(W₁ h) + β), with (γ, β) a linear map of the time's vector e.

    Args:
      width: features of h.
      n_time: numbers of e.
      activation: a.
      dtype: dtype of the computation.
      rngs: keys for initialization; W₂ begins at 0 and the block as the identity.
    """

    def __init__(
        self,
        width: int,
        n_time: int,
        *,
        activation: Activation,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        zeros = nnx.initializers.zeros_init()
        self.activation = activation
        self.norm = LayerNorm(width)
        self.first = nnx.Linear(width, width, dtype=dtype, rngs=rngs)
        self.modulation = nnx.Linear(n_time, 2 * width, dtype=dtype, rngs=rngs)
        self.second = nnx.Linear(width, width, kernel_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(
        self, h: Float[Array, "batch width"], e: Float[Array, "batch n_time"]
    ) -> Float[Array, "batch width"]:
        """The next state of the residual stream."""
        scale, shift = jnp.split(self.modulation(e), 2, axis=-1)
        inner = (1 + scale) * self.norm(self.first(h)) + shift
        return h + self.second(self.activation(inner))


class TimeMLP(nnx.Module):
    """f(x, t, c): residual blocks on vectors, each of them scaled and shifted by the time.

    Args:
      n: features of x.
      width: features of the residual stream, and of the time's vector.
      n_blocks: how many blocks; they run under one loop.
      n_out: features of the output; those of x if None.
      n_context: features of c.
      fastest: see `TimeEmbedding`.
      activation: smooth, where the derivatives of f are wanted, as those of a density are.
      dtype: dtype of the computation; parameters stay float32. None takes that of x.
      rngs: keys for initialization; the last layer begins at 0, and so does f.

    Raises:
      ValueError: for a size below 1.
    """

    def __init__(
        self,
        n: int,
        width: int,
        n_blocks: int,
        *,
        n_out: int | None = None,
        n_context: int = 0,
        fastest: float = 30.0,
        activation: Activation = jax.nn.silu,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        n_out = n if n_out is None else n_out
        if min(n, width, n_blocks, n_out) < 1:
            raise ValueError(
                f"n, width, n_blocks, n_out: expected positive sizes, "
                f"got {n}, {width}, {n_blocks}, {n_out}"
            )
        self.activation = activation
        self.time = TimeEmbedding(
            width, n_context=n_context, fastest=fastest, dtype=dtype, rngs=rngs
        )
        self.first = nnx.Linear(n, width, dtype=dtype, rngs=rngs)
        options = {"activation": activation, "dtype": dtype}
        self.blocks = stacked(
            lambda rngs: TimedBlock(width, width, **options, rngs=rngs), n_blocks, rngs=rngs
        )
        self.norm = LayerNorm(width)
        zeros = nnx.initializers.zeros_init()
        self.last = nnx.Linear(width, n_out, kernel_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch n"], t: Float[Array, "batch"], context: Context = None
    ) -> Float[Array, "batch n_out"]:
        """f for every row."""
        e = self.activation(self.time(t, context))
        h = jax.lax.scan(lambda h, block: (block(h, e), None), self.first(x), self.blocks)[0]
        return self.last(self.activation(self.norm(h)))
