# SPDX-License-Identifier: Apache-2.0
"""Fully connected networks whose units are switched by gates of their own."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.nn.mlp import Activation, attach


class GatedMLP(nnx.Module):
    """h_l = (W_l h_{l−1} + b_l) ⊙ g(V_l h_{l−1} + c_l), and an affine map to the output.

    Both maps of a layer are one matrix product of twice the width. The gate g is σ in a GLU, and in
    its variants `jax.nn.silu` (SwiGLU), a GELU (GEGLU) or `jax.nn.relu` (ReGLU).

    Args:
      n_in: input features.
      widths: hidden features, one number a layer.
      n_out: output features.
      n_context: features of a context that is concatenated to the input.
      gate: g.
      last_init: initializer of the last weight matrix.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Reference: Dauphin et al. 2017, equation 1, arXiv:1612.08083; in a VAE, Tomczak and Welling
    2018, section 4, arXiv:1705.07120; other gates: Shazeer 2020, equation 5, arXiv:2002.05202.
    """

    def __init__(
        self,
        n_in: int,
        widths: Sequence[int],
        n_out: int,
        *,
        n_context: int = 0,
        gate: Activation = jax.nn.sigmoid,
        last_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        sizes = (n_in + n_context, *widths)
        for name, size in {"n_in": n_in, "n_out": n_out, "widths": min(sizes)}.items():
            if size < 1:
                raise ValueError(f"{name}: expected a positive size, got {size}")
        self.gate = gate
        self.layers = nnx.List(
            nnx.Linear(a, 2 * b, dtype=dtype, rngs=rngs) for a, b in pairwise(sizes)
        )
        self.last = nnx.Linear(sizes[-1], n_out, kernel_init=last_init, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "*batch n_in"],
        context: Float[Array, "*batch n_context"] | None = None,
    ) -> Float[Array, "*batch n_out"]:
        """The output for each row of x."""
        h = attach(x, context)
        for layer in self.layers:
            value, gate = jnp.split(layer(h), 2, axis=-1)
            h = value * self.gate(gate)
        return self.last(h)
