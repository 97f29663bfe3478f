# SPDX-License-Identifier: Apache-2.0
"""How much of discrete data is left at a time: each position keeps its x_0 with probability α_t.

Time runs from data at t = 0 to noise at t = 1, as it does for continuous noise. A schedule is a
function of t alone, and its derivative comes from `rate`, never from a second formula.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.diffusion import grid

Time = Float[Array, "*t"]


class Stage(NamedTuple):
    """α and 1 − α at a time, each with all its digits.

    Attributes:
      t: the time, as a network is told.
      alpha: α, the probability that a position has never been drawn anew.
      lost: 1 − α.
    """

    t: Time
    alpha: Time
    lost: Time

    def over(self, x: Array) -> "Stage":
        """The same, one a row of x, with axes of 1 behind so that it broadcasts against x."""
        return Stage(*(a.reshape(a.shape + (1,) * (x.ndim - a.ndim)) for a in self))


Schedule = Callable[[Time], Stage]
"""`t -> Stage`, for t in [0, 1] of any shape. The constructors are cached, as those of continuous
noise are, so that models built alike share one compiled program."""


@cache
def linear() -> Schedule:
    """α = 1 − t: every moment loses equally much, at the rate −α′/(1 − α) = 1/t.

    Reference: Sahoo et al. 2024, arXiv:2406.07524; in steps Austin et al. 2021, arXiv:2107.03006,
    whose absorbing kernel has β_t = 1/(T − t + 1).
    """
    return lambda t: Stage(t, 1 - t, t)


@cache
def cosine() -> Schedule:
    """α = 1 − cos(½π (1 − t)): the last of the noise comes slowly.

    Reference: Shi et al. 2024, arXiv:2406.04329.
    """

    def at(t: Time) -> Stage:
        # cos(½π(1 − t)) as the sine that it is; 1 − cos as twice a square where it is small.
        lost, left = jnp.sin(0.5 * math.pi * t), jnp.sin(0.25 * math.pi * (1 - t))
        return Stage(t, jnp.where(lost < 0.5, 1 - lost, 2 * jnp.square(left)), lost)

    return at


@cache
def polynomial(power: float = 2.0) -> Schedule:
    """α = 1 − t^w.

    With w > 1 a uniform t falls often where little is lost, and the estimate of a masked bound has
    a finite variance; with w = 1 its second moment grows like the logarithm of the least t.

    Args:
      power: w.

    Raises:
      ValueError: if it is below 1.

    Reference: Shi et al. 2024, arXiv:2406.04329.
    """
    if not 1 <= power < math.inf:
        raise ValueError(f"power: expected a number of at least 1, got {power}")
    return lambda t: Stage(t, -jnp.expm1(power * jnp.log(t)), t**power)


def of_betas(betas: Float[Array, " steps"]) -> Stage:
    """α_t = Π (1 − β_i) for t = 0 … T, told as t/T: the stages of a chain in steps.

    Args:
      betas: β_1 … β_T, the probability that a step draws a position anew; only β_T may be 1.
    """
    log_alpha = jnp.cumsum(jnp.log1p(-betas))
    log_alpha = jnp.concatenate([jnp.zeros_like(betas[:1]), log_alpha])
    t = jnp.arange(len(betas) + 1, dtype=betas.dtype) / len(betas)
    return Stage(t, jnp.exp(log_alpha), -jnp.expm1(log_alpha))


def rate(schedule: Schedule, t: Time) -> Time:
    """−α′/(1 − α) = d log(1 − α)/dt: how fast what is lost is regained, going back in time."""
    lost, slope = jax.jvp(lambda t: schedule(t).lost, (t,), (jnp.ones_like(t),))
    return slope / lost


def kept(before: Stage, after: Stage) -> Time:
    """α_t/α_s, the probability that a position is not drawn anew between s and t."""
    return after.alpha / before.alpha


def drawn(before: Stage, after: Stage) -> Time:
    """1 − α_t/α_s."""
    return _fall(before, after) / before.alpha


def regained(before: Stage, after: Stage) -> Time:
    """(α_s − α_t)/(1 − α_t), the part of what is lost at t that was still there at s; 1 for s = 0.

    Args:
      before: at s.
      after: at t > s.
    """
    return _fall(before, after) / after.lost


def falling(n_steps: int) -> Float[Array, " points"]:
    """n + 1 times from 1 to 0, equally far apart.

    Raises:
      ValueError: for less than one step.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    return jnp.linspace(1.0, 0.0, n_steps + 1)


def pairs(stages: Stage) -> tuple[Integer[Array, " steps"], Stage, Stage]:
    """(0 … n − 1, stages but the last, stages but the first), to scan over."""
    return jnp.arange(stages.t.shape[0] - 1), *grid.pairs(stages)


def _fall(before: Stage, after: Stage) -> Time:
    """α_s − α_t from the smaller of the two pairs; from s = 0 it is 1 − α_t to the last digit."""
    early = before.lost < 0.5
    return jnp.where(early, after.lost - before.lost, before.alpha - after.alpha)
