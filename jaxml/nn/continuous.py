# SPDX-License-Identifier: Apache-2.0
"""The flow layer in continuous time: events are carried along a learned vector field."""

import math
from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxml.bijections import ode
from jaxml.bijections.continuous import Path, transport

Event = Float[Array, "*batch_and_event"]
LogDet = Float[Array, "*batch"]
Context = Float[Array, "*batch n_context"] | None


class Continuous(nnx.Module):
    """y = x(T) of dx/dt = f(t, x), x(0) = x, with log |det ∂y/∂x| = ∫ tr ∂f/∂x dt.

    Exact up to the solver's tolerance, both ways: `forward` and `inverse` take the exact trace,
    which costs D times the field; `path` also takes Hutchinson's estimate of it.

    Args:
      field: `(t, x, context) -> dx/dt` of one event, such as `VectorField`: a module, or a
        function without parameters.
      time: T.
      solver: see `jaxml.bijections.ode`; None is `ode.adaptive()`.
      event: axes of an event: 1 for vectors, 3 for images.
      joint: whether a batch is one equation with common steps, see `jaxml.bijections.transport`.

    Raises:
      ImportError: without diffrax.
      ValueError: if T is not positive or an event has no axis; when called, for a context that has
        not one row an event.

    Reference: Chen et al. 2018, theorem 1, arXiv:1806.07366; Grathwohl et al. 2019,
    arXiv:1810.01367, whose time runs from noise to data and hence the other way.
    """

    def __init__(
        self,
        field: Callable[..., Array],
        *,
        time: float = 1.0,
        solver: ode.Solver | None = None,
        event: int = 1,
        joint: bool = False,
    ):
        if not 0 < time < math.inf:
            raise ValueError(f"time: expected a positive number, got {time}")
        if event < 1:
            raise ValueError(f"event: expected at least 1 axis, got {event}")
        self.field, self.time, self.event, self.joint = field, float(time), event, joint
        self.solver = ode.adaptive() if solver is None else solver

    def forward(self, x: Event, context: Context = None) -> tuple[Event, LogDet]:
        """y and log |det ∂y/∂x|."""
        path = self.path(x, context)
        return path.end, path.log_det

    def inverse(self, y: Event, context: Context = None) -> tuple[Event, LogDet]:
        """x and log |det ∂x/∂y|."""
        path = self.path(y, context, back=True)
        return path.end, path.log_det

    def path(
        self,
        x: Event,
        context: Context = None,
        *,
        noise: Event | None = None,
        back: bool = False,
    ) -> Path:
        """End, log-determinant, energies and number of evaluations, each of the batch's shape.

        Args:
          x: where the paths begin.
          context: a row an event.
          noise: ε of Hutchinson's estimate, of the shape of x; None takes the exact trace.
          back: whether from the time T to 0.
        """
        batch, event = x.shape[: x.ndim - self.event], x.shape[x.ndim - self.event :]
        if context is not None and context.shape[:-1] != batch:
            raise ValueError(
                f"context: expected a row an event, {(*batch, '...')}, got {context.shape}"
            )
        n = math.prod(batch)
        found = transport(
            _call,
            x.reshape(n, *event),
            self.field,
            None if context is None else context.reshape(n, context.shape[-1]),
            None if noise is None else noise.reshape(n, *event),
            start=self.time if back else 0.0,
            end=0.0 if back else self.time,
            solver=self.solver,
            joint=self.joint,
        )
        return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), found)


def _call(t, x, field, context):
    return field(t, x, context)
