# SPDX-License-Identifier: Apache-2.0
"""What a bijection is: a pair of functions that are each other's inverse, with log-determinants."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxml.types import Array

Params = Any
"""A pytree of arrays; `()` for a map that has none."""

Map = Callable[[Array, Params], tuple[Array, Array]]
"""`(x, params) -> (y, log_det)`: the image, and log |det ∂y/∂x| of every event in nats."""


class Bijection(NamedTuple):
    """y = f(x; θ) and x = f⁻¹(y; θ), each with the log-determinant of its own Jacobian.

    The last `event` axes of x are one event, the axes in front of them a batch; a log-determinant
    has the shape of the batch. An elementwise map has `event = 0`, so that its log-determinants
    are the log-slopes of the elements, one each. Parameters broadcast against the batch.

    Attributes:
      forward: `(x, params) -> (y, log |det ∂y/∂x|)`.
      inverse: `(y, params) -> (x, log |det ∂x/∂y|)`: minus the one of `forward` at x.
      event: how many axes of x an event has.
    """

    forward: Map
    inverse: Map
    event: int = 0


def align(params: Array, n_axes: int) -> Array:
    """Parameters with axes of 1 in front, so that they broadcast against a batch of any rank."""
    return params.reshape((1,) * (n_axes - params.ndim) + params.shape)


def sum_last(x: Array, n_axes: int) -> Array:
    """Σ over the last n axes: of log-slopes, the log-determinant of the event."""
    return x if n_axes == 0 else x.sum(axis=tuple(range(-n_axes, 0)))
