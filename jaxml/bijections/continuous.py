# SPDX-License-Identifier: Apache-2.0
"""The bijection that a vector field makes in a time, with its log-determinant and its energies."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxml.bijections.bijection import Params
from jaxml.bijections.ode import Carried, Solver
from jaxml.bijections.trace import exact_trace, hutchinson_trace

Field = Callable[..., Array]
"""`(t, x, params, context) -> dx/dt` of one event; x and its rate have one shape."""


class Path(NamedTuple):
    """Where n paths end, and what was integrated along each.

    Attributes:
      end: x(end).
      log_det: log |det ∂x(end)/∂x(start)| in nats, or its estimate.
      kinetic: ∫ ‖f‖² |dt|.
      jacobian: ∫ ‖∂f/∂x‖² |dt|, the sum of squares of the matrix, or its estimate.
      n_evaluations: of the field, in the steps that were refused too.
    """

    end: Float[Array, "n *event"]
    log_det: Float[Array, "n"]
    kinetic: Float[Array, "n"]
    jacobian: Float[Array, "n"]
    n_evaluations: Int[Array, "n"]


def transport(
    field: Field,
    x: Float[Array, "n *event"],
    params: Params,
    context: Float[Array, "n ..."] | None = None,
    noise: Float[Array, "n *event"] | None = None,
    *,
    start: float = 0.0,
    end: float = 1.0,
    solver: Solver,
    joint: bool = False,
) -> Path:
    """Solves dx/dt = f(t, x) and d log det/dt = tr ∂f/∂x together, backwards where end < start.

    Image and log-determinant are exact up to the solver's tolerance. The energies are integrated
    along the same steps and do not change them.

    Args:
      field: f, a function of the module's level, or a pytree.
      x: n events at the time `start`.
      params: whatever f needs, the same for all events.
      context: a row an event.
      noise: ε of Hutchinson's estimate, one draw an event, kept along the whole path; None takes
        the exact trace, at D times the cost.
      start: the time of x.
      end: the time to reach.
      solver: see `jaxml.bijections.ode`.
      joint: whether the n events are one equation with common steps. Each event on its own takes
        the steps that it needs, so that its result does not depend on its company; but the
        continuous adjoint then holds a gradient of all parameters for every event. At a fixed
        number of steps both give the same.

    Raises:
      ValueError: if f changes the shape of an event.

    Reference: Chen et al. 2018, theorem 1, arXiv:1806.07366; the energies of Finlay et al. 2020,
    arXiv:2002.02798.
    """
    if joint:
        args = (field, params, context, noise)
        state, n = solver.solve(_joint_rate, _state(x, x.shape[:1]), args, start, end)
        n_evaluations = jnp.broadcast_to(n, x.shape[:1])
    else:

        def one(x, context, noise):
            args = (field, params, context, noise)
            return solver.solve(_rate, _state(x, ()), args, start, end)

        state, n_evaluations = jax.vmap(one)(x, context, noise)
    y, log_det, carried = state
    kinetic, jacobian = carried.value
    way = 1.0 if end > start else -1.0  # dt is negative on the way back, an energy never
    return Path(y, log_det, way * kinetic, way * jacobian, n_evaluations)


def _state(x: Array, shape: tuple[int, ...]) -> Any:
    zero = jnp.zeros(shape, x.dtype)
    return x, zero, Carried((zero, zero))


def _rate(t, state, args):
    """Of one event: velocity, trace, and the two energies."""
    field, params, context, noise = args

    def velocity(x):
        out = field(t, x, params, context)
        if out.shape != x.shape:
            raise ValueError(f"field: expected the shape of x, {x.shape}, got {out.shape}")
        return out.astype(x.dtype)

    x = state[0]
    found = exact_trace(velocity, x) if noise is None else hutchinson_trace(velocity, x, noise)
    kinetic = jnp.sum(jnp.square(found.value))
    return found.value, found.trace, Carried((kinetic, found.frobenius))


def _joint_rate(t, states, args):
    """Of all events at once; the field still sees one at a time."""
    field, params, contexts, noises = args

    def one(state, context, noise):
        return _rate(t, state, (field, params, context, noise))

    return jax.vmap(one)(states, contexts, noises)
