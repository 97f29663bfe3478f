# SPDX-License-Identifier: Apache-2.0
"""The times at which a solver looks: from much noise to little, and at last to none."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.noise import Noise
from jaxml.diffusion.schedule import Schedule

Times = Float[Array, " points"]


class Points(NamedTuple):
    """Times and the noise at each; without an axis, one of them.

    Attributes:
      t: as a network is told.
      noise: at t; the last one of a grid may be clean, with σ = 0 and an infinite log-SNR.
    """

    t: Float[Array, "*points"]
    noise: Noise


def points(schedule: Schedule, times: Times, *, clean: bool = True) -> Points:
    """A grid of a schedule.

    Args:
      schedule: gives the noise.
      times: falling.
      clean: whether one more point follows, with α = 1 and σ = 0, so that the last step returns
        what the network takes x_0 for.
    """
    noise = schedule.at(times)
    if not clean:
        return Points(times, noise)
    both = [jnp.append(a, end) for a, end in zip(noise, (1.0, 0.0, jnp.inf), strict=True)]
    return Points(jnp.concatenate([times, times[-1:]]), Noise(*both))


def pairs(path: Any) -> tuple[Any, Any]:
    """Where every step of a path begins and where it ends: all levels but the last, but the first.

    Args:
      path: `Points`, `Noise` or another pytree of arrays with equal first axes.
    """
    first, second = (
        jax.tree.map(lambda a, part=part: a[part], path) for part in (slice(0, -1), slice(1, None))
    )
    return first, second


def uniform(n_steps: int, last: float = 1e-3) -> Times:
    """n + 1 times from 1 to `last`, equally far apart."""
    _check(n_steps, last)
    return jnp.linspace(1.0, last, n_steps + 1)


def quadratic(n_steps: int, last: float = 1e-3) -> Times:
    """The squares of equally spaced numbers: many steps where little noise is left.

    Reference: Song et al. 2021, appendix D.2, arXiv:2010.02502.
    """
    _check(n_steps, last)
    return jnp.square(jnp.linspace(1.0, last**0.5, n_steps + 1))


def log_snr(schedule: Schedule, n_steps: int, last: float = 1e-3) -> Times:
    """Times between which the log-SNR rises equally, as solvers of the DPM kind like it.

    Raises:
      ValueError: for a schedule that ends without signal, where the log-SNR is infinite.

    Reference: Lu et al. 2022, section 3.4, arXiv:2206.00927.
    """
    _check(n_steps, last, schedule)
    ends = schedule.at(jnp.asarray([1.0, last])).log_snr
    return time_of(schedule, jnp.linspace(ends[0], ends[1], n_steps + 1))


def karras(schedule: Schedule, n_steps: int, last: float = 1e-3, power: float = 7.0) -> Times:
    """Times between which (σ/α)^(1/ρ) falls equally.

    For `edm` with the same ρ these are equally spaced.

    Raises:
      ValueError: for a schedule that ends without signal, where σ/α is infinite.

    Reference: Karras et al. 2022, equation 5, arXiv:2206.00364.
    """
    _check(n_steps, last, schedule)
    if not power > 0:
        raise ValueError(f"power: expected a positive number, got {power}")
    ends = jnp.exp(-0.5 / power * schedule.at(jnp.asarray([1.0, last])).log_snr)
    roots = jnp.linspace(ends[0], ends[1], n_steps + 1)
    return time_of(schedule, -2 * power * jnp.log(roots))


def time_of(schedule: Schedule, log_snr: Float[Array, "*t"]) -> Float[Array, "*t"]:
    """The t at which a schedule has this log-SNR, by bisection of [0, 1]; the end beyond an end."""
    low, high = jnp.zeros_like(log_snr), jnp.ones_like(log_snr)

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        early = schedule.at(middle).log_snr > log_snr
        return jnp.where(early, middle, low), jnp.where(early, high, middle)

    digits = jnp.finfo(log_snr.dtype).nmant + 4
    low, high = jax.lax.fori_loop(0, digits, halve, (low, high))
    return 0.5 * (low + high)


def _check(n_steps: int, last: float, schedule: Schedule | None = None) -> None:
    if schedule is not None and schedule.zero_terminal:
        raise ValueError("schedule: expected one that keeps some signal at t = 1")
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    if not 0 <= last < 1:
        raise ValueError(f"last: expected a time in [0, 1), got {last}")
