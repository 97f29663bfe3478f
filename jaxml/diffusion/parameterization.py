# SPDX-License-Identifier: Apache-2.0
"""What a network is asked for: ε, x_0, v, score, flow or the EDM target, and each from the others.

All say the same of x_t = α x_0 + σ ε, and so each is a pair of functions: what the network should
say, given x_0 and ε, and what it means when it has said it, given x_t.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.noise import Noise
from jaxml.diffusion.schedule import Rates, Schedule

Event = Float[Array, "*batch_and_event"]


class Clean(NamedTuple):
    """x_0 and ε, of which x_t is made: what they were, or what a network takes them for."""

    x0: Event
    eps: Event


class Parameterization(NamedTuple):
    """What a network predicts.

    Attributes:
      name: as it is shown.
      target: `(clean, noise) -> output`: what the network should say.
      meaning: `(output, x_t, noise) -> Clean`.
      scale_in: `noise -> factor` of x_t before the network reads it.
      needs_signal: whether x_0 cannot be told from the output where α = 0.
    """

    name: str
    target: Callable[[Clean, Noise], Event]
    meaning: Callable[[Event, Event, Noise], Clean]
    scale_in: Callable[[Noise], Array] = lambda noise: jnp.ones_like(noise.alpha)
    needs_signal: bool = False


def _from_eps(eps: Event, x: Event, noise: Noise) -> Clean:
    return Clean((x - noise.sigma * eps) / noise.alpha, eps)


def _from_x0(x0: Event, x: Event, noise: Noise) -> Clean:
    return Clean(x0, (x - noise.alpha * x0) / noise.sigma)


def _from_v(v: Event, x: Event, noise: Noise) -> Clean:
    square = jnp.square(noise.alpha) + jnp.square(noise.sigma)
    x0 = (noise.alpha * x - noise.sigma * v) / square
    return Clean(x0, (noise.sigma * x + noise.alpha * v) / square)


def _from_flow(u: Event, x: Event, noise: Noise) -> Clean:
    total = noise.alpha + noise.sigma
    return Clean((x - noise.sigma * u) / total, (x + noise.alpha * u) / total)


EPS = Parameterization("eps", lambda clean, noise: clean.eps, _from_eps, needs_signal=True)
"""ε, the noise that was added. Ho et al. 2020, equation 12, arXiv:2006.11239."""

X0 = Parameterization("x0", lambda clean, noise: clean.x0, _from_x0)
"""x_0, the data."""

V = Parameterization(
    "v", lambda clean, noise: noise.alpha * clean.eps - noise.sigma * clean.x0, _from_v
)
"""v = α ε − σ x_0, from which both follow without a division by α or σ. Salimans and Ho 2022,
section 4, arXiv:2202.00512."""

SCORE = Parameterization(
    "score",
    lambda clean, noise: -clean.eps / noise.sigma,
    lambda score, x, noise: _from_eps(-noise.sigma * score, x, noise),
    needs_signal=True,
)
"""∇ log q(x_t | x_0) = −ε/σ, whose mean over x_0 is ∇ log q(x_t). Vincent 2011, equation 9."""

FLOW = Parameterization("flow", lambda clean, noise: clean.eps - clean.x0, _from_flow)
"""u = ε − x_0, the velocity of `rectified`, constant along its lines. Liu et al. 2023, equation 1,
arXiv:2209.03003."""


@cache
def preconditioned(sigma_data: float = 0.5) -> Parameterization:
    """F with D(x; σ) = c_skip x + c_out F(c_in x): inputs and targets of unit variance at every σ.

    c_skip = σ_d²/(σ² + σ_d²), c_out = σ σ_d/√(σ² + σ_d²), c_in = 1/√(σ² + σ_d²). Schedules with
    α ≠ 1 are read as x/α with noise σ/α.

    Args:
      sigma_data: σ_d, the standard deviation of the data.

    Raises:
      ValueError: if it is not positive.

    Reference: Karras et al. 2022, table 1 and appendix B.6, arXiv:2206.00364.
    """
    if not 0 < sigma_data < math.inf:
        raise ValueError(f"sigma_data: expected a positive number, got {sigma_data}")

    def sizes(noise: Noise) -> tuple[Array, Array]:
        """σ, and √(σ² + σ_d²)."""
        sigma = noise.sigma / noise.alpha
        return sigma, jnp.sqrt(jnp.square(sigma) + sigma_data**2)

    def target(clean: Clean, noise: Noise) -> Event:
        # (x_0 − c_skip x)/c_out with x = x_0 + σ ε put in: no difference of near numbers is left.
        sigma, root = sizes(noise)
        return (sigma * clean.x0 - sigma_data**2 * clean.eps) / (sigma_data * root)

    def meaning(out: Event, x: Event, noise: Noise) -> Clean:
        (sigma, root), scaled = sizes(noise), x / noise.alpha
        skip, size = jnp.square(sigma_data / root), sigma * sigma_data / root
        eps = sigma / jnp.square(root) * scaled - sigma_data / root * out  # (x − x_0)/σ
        return Clean(skip * scaled + size * out, eps)

    def scale_in(noise: Noise) -> Array:
        return 1 / (noise.alpha * sizes(noise)[1])

    return Parameterization(f"edm {sigma_data:g}", target, meaning, scale_in, needs_signal=True)


def velocity(clean: Clean, rates: Rates) -> Event:
    """dx/dt = α′ x_0 + σ′ ε along the path that x_0 and ε make.

    Reference: Lipman et al. 2023, theorem 3, arXiv:2210.02747.
    """
    return rates.alpha * clean.x0 + rates.sigma * clean.eps


def from_velocity(u: Event, x: Event, noise: Noise, rates: Rates) -> Clean:
    """The x_0 and ε that have x_t and its velocity: two linear equations."""
    determinant = noise.alpha * rates.sigma - noise.sigma * rates.alpha
    return Clean(
        (rates.sigma * x - noise.sigma * u) / determinant,
        (noise.alpha * u - rates.alpha * x) / determinant,
    )


def convert(
    output: Event, x: Event, noise: Noise, given: Parameterization, wanted: Parameterization
) -> Event:
    """What a network of one kind says, in the words of another.

    Args:
      output: what it said.
      x: x_t.
      noise: at t, one number or one a row.
      given: what the output is.
      wanted: what it should be.
    """
    noise = noise.over(x)
    return wanted.target(given.meaning(output, x, noise), noise)


def check_pair(parameterization: Parameterization, schedule: Schedule) -> None:
    """Refuse to ask for ε where a schedule leaves no signal.

    Raises:
      ValueError: if x_0 cannot be had from this output at t = 1.
    """
    if schedule.zero_terminal and parameterization.needs_signal:
        raise ValueError(
            f"parameterization: {parameterization.name!r} says nothing about x_0 where alpha = 0; "
            f"expected x0, v or flow for a schedule that ends without signal"
        )
