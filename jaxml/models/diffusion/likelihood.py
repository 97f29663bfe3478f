# SPDX-License-Identifier: Apache-2.0
"""The density that a diffusion model has as a flow: its equation without noise, solved forwards."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.bijections import ode
from jaxml.bijections.continuous import Path, transport
from jaxml.diffusion.grid import Points
from jaxml.diffusion.parameterization import velocity
from jaxml.diffusion.schedule import rates
from jaxml.models.condition import Context
from jaxml.models.diffusion.model import Diffusion, denoise
from jaxml.numerics import widen
from jaxml.probability import normal
from jaxml.types import Scalar


def path(
    model: Diffusion,
    x: Shaped[Array, "batch *event"],
    noise: Float[Array, "batch *event"] | None = None,
    *,
    start: float = 1e-3,
    end: float = 1.0,
    solver: ode.Solver | None = None,
    context: Context = None,
) -> Path:
    """Along dx/dt = α′ x̂_0 + σ′ ε̂ from `start` to `end`, or back where that is earlier.

    Args:
      model: the model.
      x: at `start`.
      noise: of Hutchinson's estimate of the trace; None takes the exact one, at D times the cost.
      start: the time of x.
      end: the time to reach.
      solver: see `jaxml.bijections.ode`; None is `ode.adaptive()`.
      context: a row an event.

    Raises:
      ImportError: without diffrax.

    Reference: Song et al. 2021, equation 13 and appendix D.2, arXiv:2011.13456.
    """
    solver = ode.adaptive() if solver is None else solver
    return transport(_field, widen(x), model, context, noise, start=start, end=end, solver=solver)


def log_prob(
    model: Diffusion,
    x: Shaped[Array, "batch *event"],
    noise: Float[Array, "batch *event"] | None = None,
    *,
    start: float = 1e-3,
    end: float = 1.0,
    solver: ode.Solver | None = None,
    context: Context = None,
) -> Float[Array, "batch"]:
    """log p(x) in nats, up to the solver's tolerance: log N(x_end; 0, σ² I) + log |det ∂x_end/∂x|.

    p is the law of what solving the equation from N(0, σ² I) at `end` gives at `start`, where a
    little noise is still counted as data: later starts are smoother densities. With `noise` it is
    an unbiased estimate.

    Args:
      model: the model.
      x: data.
      noise: of Hutchinson's estimate of the trace; None takes the exact one, at D times the cost.
      start: the time that data are given; 0 where the schedule has some noise there.
      end: the time of the noise.
      solver: see `jaxml.bijections.ode`; None is `ode.adaptive()`.
      context: a row an event.

    Raises:
      ImportError: without diffrax.

    Reference: Song et al. 2021, equation 39, arXiv:2011.13456.
    """
    found = path(model, x, noise, start=start, end=end, solver=solver, context=context)
    sigma = model.schedule.at(jnp.asarray(end, found.end.dtype)).sigma
    zero = jnp.zeros((), found.end.dtype)
    each = normal.log_prob(found.end, zero, 2 * jnp.log(sigma))
    return each.sum(axis=tuple(range(1, each.ndim))) + found.log_det


def _field(t: Scalar, x: Array, model: Diffusion, context: Array | None) -> Array:
    """Of one event, as a batch of one."""
    noise = model.schedule.at(t)
    one = None if context is None else context[None]
    clean = denoise(model, x[None], Points(t, noise), context=one)
    return jax.tree.map(lambda a: a[0], velocity(clean, rates(model.schedule, t)))
