# SPDX-License-Identifier: Apache-2.0
"""Coupling layers: one part of x moves by as much as a network makes of the other part."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from jaxml.bijections import join, split, sum_last
from jaxml.nn.composed import Context, Event, LogDet
from jaxml.nn.elementwise import Elementwise


class Coupling(nnx.Module):
    """y₁ = x₁, y₂ = f(x₂; network(x₁)), with halves of the last axis: features or channels.

    Its Jacobian is triangular, up to the order of the halves, and costs one call of the network
    both ways.

    Args:
      network: maps x₁ to `n_raw` numbers for each element of x₂, along its last axis; called with
        the context as second argument where there is one.
      elementwise: f.
      flip: whether the second half stays and the first moves.
      event: axes of an event: 1 for vectors, 3 for images.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, equations 4 to 8, arXiv:1605.08803.
    """

    def __init__(
        self,
        network: Callable[..., Array],
        elementwise: Elementwise,
        *,
        flip: bool = False,
        event: int = 1,
    ):
        self.network, self.elementwise = network, elementwise
        self.flip, self.event = flip, event

    def forward(self, x: Event, context: Context = None) -> tuple[Event, LogDet]:
        """y and log |det ∂y/∂x|."""
        return self._move(self.elementwise.forward, x, context)

    def inverse(self, y: Event, context: Context = None) -> tuple[Event, LogDet]:
        """x and log |det ∂x/∂y|."""
        return self._move(self.elementwise.inverse, y, context)

    def _move(self, function, x, context):
        parts = split(x)
        given, moved = parts[::-1] if self.flip else parts
        raw = _raw(self.network, given, context, moved.shape, self.elementwise.n_raw)
        moved, log_slope = function(moved, raw)
        return join(*((moved, given) if self.flip else (given, moved))), sum_last(
            log_slope, self.event
        )


class MaskedCoupling(nnx.Module):
    """y = x where the mask stands, f(x; network(x ⊙ mask)) elsewhere: any pattern of an event.

    Args:
      network: maps events to `n_raw` numbers for each of their elements, along the last axis.
      elementwise: f.
      mask: makes the mask of an event of a given shape, such as
        `lambda shape: checkerboard(shape[:2])[..., None]`.
      event: axes of an event.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, equation 9, arXiv:1605.08803.
    """

    def __init__(
        self,
        network: Callable[..., Array],
        elementwise: Elementwise,
        *,
        mask: Callable[[Sequence[int]], np.ndarray],
        event: int = 3,
    ):
        self.network, self.elementwise = network, elementwise
        self.mask, self.event = mask, event

    def forward(self, x: Event, context: Context = None) -> tuple[Event, LogDet]:
        """y and log |det ∂y/∂x|."""
        return self._move(self.elementwise.forward, x, context)

    def inverse(self, y: Event, context: Context = None) -> tuple[Event, LogDet]:
        """x and log |det ∂x/∂y|."""
        return self._move(self.elementwise.inverse, y, context)

    def _move(self, function, x, context):
        kept = jnp.broadcast_to(self.mask(x.shape[x.ndim - self.event :]), x.shape)
        given = jnp.where(kept, x, 0.0)
        raw = _raw(self.network, given, context, x.shape, self.elementwise.n_raw)
        y, log_slope = function(x, raw)
        return jnp.where(kept, x, y), sum_last(jnp.where(kept, 0.0, log_slope), self.event)


def _raw(network, given, context, shape, n_raw) -> Array:
    raw = network(given) if context is None else network(given, context)
    if raw.shape[-1] != shape[-1] * n_raw:
        raise ValueError(
            f"network: expected {shape[-1]} · {n_raw} outputs along the last axis, "
            f"got {raw.shape[-1]}"
        )
    return raw.reshape(*shape, n_raw)
