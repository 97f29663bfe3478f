# SPDX-License-Identifier: Apache-2.0
"""Around a network: waves of its input beside it, and pixels folded into channels."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.layers.upsampling import pixel_shuffle, pixel_unshuffle

Image = Float[Array, "batch h w _"]
Network = Callable[..., Array]
Context = Float[Array, "batch n_context"] | None


class FourierInput(nnx.Module):
    """f(x, …) = network((x, sin 2ⁿπx, cos 2ⁿπx, …), …): differences too small for x alone.

    Where little noise is left, whether a pixel of 8 bits is on one or the other side of its value
    is a matter of 1/256, and most of a likelihood is decided there. MLPs learn what is smooth long
    before what is steep, and with waves need not wait.

    Args:
      network: reads `(1 + 2 len(powers))` times the channels of x, and what else it is given.
      powers: the n; 7 and 8 for 256 levels over [−1, 1].

    Raises:
      ValueError: without a power.

    Reference: Kingma et al. 2021, appendix C, arXiv:2107.00630; for MLPs Tancik et al. 2020,
    section 4, arXiv:2006.10739.
    """

    def __init__(self, network: Network, powers: Sequence[int] = (7, 8)):
        if not powers:
            raise ValueError("powers: expected at least one")
        self.network, self.powers = network, tuple(powers)

    def __call__(self, x: Float[Array, "*batch _"], *rest: Any, **options: Any) -> Array:
        """f for every image or vector, with what is handed on."""
        angles = [2.0**n * jnp.pi * x for n in self.powers]
        waves = [wave for angle in angles for wave in (jnp.sin(angle), jnp.cos(angle))]
        return self.network(jnp.concatenate([x, *waves], axis=-1), *rest, **options)


class Unshuffled(nnx.Module):
    """f(x, t, c): squares of r × r pixels become channels, and channels of the output pixels again.

    A network then works at a coarser and wider resolution, where it is cheaper.

    Args:
      network: reads and gives r² times the channels.
      factor: r.

    Raises:
      ValueError: for a factor below 1, and when called, for sizes that it does not divide.
    """

    def __init__(self, network: Network, factor: int = 2):
        if factor < 1:
            raise ValueError(f"factor: expected at least 1, got {factor}")
        self.network, self.factor = network, factor

    def __call__(self, x: Image, t: Float[Array, "batch"], context: Context = None) -> Image:
        """f for every image."""
        small = pixel_unshuffle(x, self.factor)
        return pixel_shuffle(self.network(small, t, context), self.factor)
