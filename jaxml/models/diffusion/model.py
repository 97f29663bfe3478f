# SPDX-License-Identifier: Apache-2.0
"""The diffusion model: data under noise, and a network that says what of it is which."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.diffusion import EPS, grid
from jaxml.diffusion.grid import Points, points
from jaxml.diffusion.noise import Noise
from jaxml.diffusion.parameterization import Clean, Parameterization, check_pair
from jaxml.diffusion.schedule import Schedule
from jaxml.diffusion.solver import Denoise, Solver, ddim, integrate
from jaxml.models.condition import Context
from jaxml.nn.learned_schedule import LearnedSchedule
from jaxml.numerics import widen
from jaxml.types import Key


class Diffusion(nnx.Module):
    """x_t = α x_0 + σ ε from data at t = 0 to noise at t = 1, and back by what a network says.

    Flow matching is the case of `rectified()` and `FLOW`: straight lines and their velocity.

    Args:
      network: `(x, t, context) -> output` of the shape of x, one t a row; see `jaxml.nn`.
      schedule: α and σ; a learned one is told to the network by its `fraction` in place of t, so
        that a level of noise keeps its name while the way between the levels changes.
      parameterization: what the network's output is.
      shape: of one event.

    Raises:
      ValueError: where the schedule ends without signal and the output cannot tell x_0 there.

    Reference: Ho et al. 2020, arXiv:2006.11239; in continuous time Kingma et al. 2021,
    arXiv:2107.00630.
    """

    def __init__(
        self,
        network: Callable[..., Array],
        schedule: Schedule | LearnedSchedule,
        *,
        parameterization: Parameterization = EPS,
        shape: tuple[int, ...],
    ):
        self.network, self.noise = network, schedule
        self.parameterization, self.shape = parameterization, tuple(shape)
        check_pair(parameterization, self.schedule)

    @property
    def schedule(self) -> Schedule:
        """α and σ; of a learned schedule those at the present weights."""
        return self.noise.schedule if isinstance(self.noise, LearnedSchedule) else self.noise

    def clock(self, t: Float[Array, "*t"]) -> Float[Array, "*t"]:
        """What the network is told of a time: a number in [0, 1]."""
        return self.noise.fraction(t) if isinstance(self.noise, LearnedSchedule) else t


def output(
    model: Diffusion,
    x: Float[Array, "batch *event"],
    t: Float[Array, "*batch_or_none"],
    noise: Noise,
    *,
    context: Context = None,
) -> Float[Array, "batch *event"]:
    """What the network says of x_t, never narrower than single precision."""
    told = model.clock(jnp.broadcast_to(t, x.shape[:1]))
    return widen(model.network(model.parameterization.scale_in(noise.over(x)) * x, told, context))


def denoise(
    model: Diffusion, x: Float[Array, "batch *event"], point: Points, *, context: Context = None
) -> Clean:
    """The x_0 and ε that x is taken for.

    Args:
      model: the model.
      x: x_t.
      point: its time and noise, one for all or one a row.
      context: a row an event.
    """
    said = output(model, x, point.t, point.noise, context=context)
    return model.parameterization.meaning(said, x, point.noise.over(x))


def denoiser(model: Diffusion, context: Context = None) -> Denoise:
    """The model as a solver reads it."""
    return lambda x, point: denoise(model, x, point, context=context)


def sample(
    model: Diffusion,
    key: Key,
    n: int,
    *,
    solver: Solver | None = None,
    path: Points | None = None,
    n_steps: int = 50,
    context: Context = None,
    wrap: Callable[[Denoise], Denoise] | None = None,
) -> Float[Array, "n *event"]:
    """n draws: x_1 from N(0, σ² I), then down a path of noise levels.

    Args:
      model: the model.
      key: for x_1, and for solvers that add noise.
      n: how many.
      solver: takes the steps; None is `ddim()`.
      path: levels from the first to the last; None takes `n_steps` steps equally far apart in t,
        and a last one that ends clean.
      n_steps: their number.
      context: a row a draw.
      wrap: makes another denoiser of the model's, such as one that is guided.
    """
    path = points(model.schedule, grid.uniform(n_steps)) if path is None else path
    start_key, solver_key = jax.random.split(key)
    x = path.noise.sigma[0] * jax.random.normal(start_key, (n, *model.shape), path.t.dtype)
    look = denoiser(model, context)
    look = look if wrap is None else wrap(look)
    return integrate(ddim() if solver is None else solver, look, path, x, solver_key)
