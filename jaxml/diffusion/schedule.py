# SPDX-License-Identifier: Apache-2.0
"""Noise schedules in continuous time: from little noise at t = 0 to little signal at t = 1.

A schedule is a function of t alone. Its derivatives, which a stochastic differential equation
needs, come from `rates`, never from a second formula.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.noise import Noise
from jaxml.numerics import log1mexp, log_sigmoid

Time = Float[Array, "*t"]


class Schedule(NamedTuple):
    """Noise as a function of time.

    The constructors below are cached: equal options give the same object, so that models built
    alike share one compiled program.

    Attributes:
      at: `t -> Noise`, for t in [0, 1] of any shape.
      zero_terminal: whether α = 0 at t = 1, where ε says nothing about x_0.
    """

    at: Callable[[Time], Noise]
    zero_terminal: bool = False


class Rates(NamedTuple):
    """How fast a schedule changes, and dx = f x dt + g dw, the equation that has its marginals.

    Attributes:
      alpha: dα/dt.
      sigma: dσ/dt.
      drift: f = d log α/dt.
      diffusion: g² = dσ²/dt − 2 f σ², which is −σ² dλ/dt.
    """

    alpha: Time
    sigma: Time
    drift: Time
    diffusion: Time


def rates(schedule: Schedule, t: Time) -> Rates:
    """The derivatives of a schedule at t, by forward-mode differentiation.

    Reference: Kingma et al. 2021, appendix F, arXiv:2107.00630.
    """
    noise, slope = jax.jvp(schedule.at, (t,), (jnp.ones_like(t),))
    drift = slope.alpha / noise.alpha
    # Two terms of one sign, and no slope of λ, which is infinite where σ = 0.
    diffusion = 2 * noise.sigma * (slope.sigma - drift * noise.sigma)
    return Rates(slope.alpha, slope.sigma, drift, diffusion)


def variance_preserving(log_snr: Callable[[Time], Time]) -> Schedule:
    """α² = sigmoid(λ), σ² = sigmoid(−λ) for a log-SNR λ(t) that falls, so that α² + σ² = 1.

    Args:
      log_snr: λ.

    Reference: Kingma et al. 2021, section 3.1, arXiv:2107.00630.
    """

    def at(t: Time) -> Noise:
        level = log_snr(t)
        # As e^(½ log sigmoid): the root of a number below the least float would be 0.
        return Noise(jnp.exp(0.5 * log_sigmoid(level)), jnp.exp(0.5 * log_sigmoid(-level)), level)

    return Schedule(at)


@cache
def cosine(low: float = -15.0, high: float = 15.0) -> Schedule:
    """α = cos a(t), σ = sin a(t), a linear in t between the log-SNRs `high` and `low`.

    Without limits this is α = cos(πt/2), whose ends have no logarithm.

    Args:
      low: log-SNR at t = 1.
      high: and at t = 0.

    Raises:
      ValueError: if they are not in this order.

    Reference: Nichol and Dhariwal 2021, section 3.2, arXiv:2102.09672; with limits Hoogeboom et al.
    2023, equation 3, arXiv:2301.11093.
    """
    _falling("high", high, low)
    # α is the sine of the angle that is left to π/2: near it a cosine has lost its digits.
    first, rest = math.atan(math.exp(-0.5 * high)), math.atan(math.exp(0.5 * low))
    span = 0.5 * math.pi - first - rest

    def log_snr(t: Time) -> Time:
        return 2 * (jnp.log(jnp.sin(rest + span * (1 - t))) - jnp.log(jnp.sin(first + span * t)))

    return variance_preserving(log_snr)


@cache
def offset_cosine(most: float = 0.95, least: float = 0.02) -> Schedule:
    """α = cos a(t), σ = sin a(t), a linear in t from arccos `most` to arccos `least`.

    Args:
      most: α at t = 0.
      least: α at t = 1.

    Raises:
      ValueError: unless 0 < least < most < 1.
    """
    if not 0 < least < most < 1:
        raise ValueError(f"most, least: expected 0 < least < most < 1, got {most} and {least}")
    first, last = math.acos(most), math.acos(least)

    def at(t: Time) -> Noise:
        angle = _line(first, last, t)
        return Noise(jnp.cos(angle), jnp.sin(angle), -2 * jnp.log(jnp.tan(angle)))

    return Schedule(at)


@cache
def linear_log_snr(low: float = -15.0, high: float = 15.0) -> Schedule:
    """λ falls on a straight line from `high` to `low`, variance-preserving.

    Raises:
      ValueError: if they are not in this order.
    """
    _falling("high", high, low)
    return variance_preserving(lambda t: _line(high, low, t))


@cache
def linear(least: float = 0.1, most: float = 20.0) -> Schedule:
    """β(t) on a straight line: log α = −½ ∫ β = −½ (t β_0 + ½ t² (β_1 − β_0)), σ² = 1 − α².

    There is no noise at t = 0; solvers and likelihoods stop short of it.

    Args:
      least: β_0.
      most: β_1.

    Raises:
      ValueError: unless 0 < β_0 ≤ β_1.

    Reference: Song et al. 2021, equation 33, arXiv:2011.13456.
    """
    log_alpha = _linear_log_alpha(least, most)
    return Schedule(lambda t: _from_logarithms(log_alpha(t), 0.5 * log1mexp(-2 * log_alpha(t))))


@cache
def sub_variance_preserving(least: float = 0.1, most: float = 20.0) -> Schedule:
    """α as in `linear`, with less noise on the way: σ = 1 − α².

    Reference: Song et al. 2021, equation 35, arXiv:2011.13456.
    """
    log_alpha = _linear_log_alpha(least, most)
    return Schedule(lambda t: _from_logarithms(log_alpha(t), log1mexp(-2 * log_alpha(t))))


@cache
def variance_exploding(least: float = 0.01, most: float = 50.0) -> Schedule:
    """α = 1, σ = σ_0 (σ_1/σ_0)^t.

    Raises:
      ValueError: unless 0 < σ_0 < σ_1.

    Reference: Song et al. 2021, equation 30, arXiv:2011.13456.
    """
    _rising(least, most)
    first, last = math.log(least), math.log(most)
    return Schedule(lambda t: _from_logarithms(jnp.zeros_like(t), _line(first, last, t)))


@cache
def edm(least: float = 0.002, most: float = 80.0, power: float = 7.0) -> Schedule:
    """α = 1, σ^(1/ρ) on a straight line: many steps where there is little noise.

    Args:
      least: σ at t = 0.
      most: σ at t = 1.
      power: ρ.

    Raises:
      ValueError: unless 0 < σ_0 < σ_1 and ρ is positive.

    Reference: Karras et al. 2022, equation 5, arXiv:2206.00364.
    """
    _rising(least, most)
    if not power > 0:
        raise ValueError(f"power: expected a positive number, got {power}")
    first, last = least ** (1 / power), most ** (1 / power)

    def at(t: Time) -> Noise:
        root = _line(first, last, t)
        return Noise(jnp.ones_like(t), root**power, -2 * power * jnp.log(root))

    return Schedule(at)


@cache
def rectified() -> Schedule:
    """α = 1 − t, σ = t: straight lines from data to noise.

    Reference: Liu et al. 2023, equation 1, arXiv:2209.03003; Lipman et al. 2023, equation 20 with
    time reversed, arXiv:2210.02747.
    """
    return Schedule(lambda t: Noise(1 - t, t, 2 * (jnp.log1p(-t) - jnp.log(t))), zero_terminal=True)


def zero_terminal(schedule: Schedule) -> Schedule:
    """α shifted and scaled so that it is 0 at t = 1 and unchanged at t = 0; σ² = 1 − α².

    Args:
      schedule: a variance-preserving one.

    Reference: Lin et al. 2024, algorithm 1, arXiv:2305.08891.
    """

    def at(t: Time) -> Noise:
        noise, first = schedule.at(t), schedule.at(jnp.zeros((), t.dtype))
        last = schedule.at(jnp.ones((), t.dtype)).alpha
        scale = last / (first.alpha - last)
        alpha = jnp.maximum(noise.alpha - last, 0.0) * (1 + scale)
        # σ² = 1 − α² grows by what α² falls: a sum, where 1 − α² has no digits near t = 0.
        before, more = jnp.square(noise.sigma), jnp.square(noise.sigma) - jnp.square(first.sigma)
        lost = scale * more / (first.alpha + noise.alpha) * (noise.alpha + alpha)
        sigma = jnp.sqrt(before + lost)
        return Noise(alpha, sigma, 2 * (jnp.log(alpha) - jnp.log(sigma)))

    return Schedule(at, zero_terminal=True)


def _from_logarithms(log_alpha: Time, log_sigma: Time) -> Noise:
    return Noise(jnp.exp(log_alpha), jnp.exp(log_sigma), 2 * (log_alpha - log_sigma))


def _line(first: float, last: float, t: Time) -> Time:
    return first + (last - first) * t


def _linear_log_alpha(least: float, most: float) -> Callable[[Time], Time]:
    if not 0 < least <= most:
        raise ValueError(f"least, most: expected 0 < least <= most, got {least} and {most}")
    return lambda t: -0.5 * (t * least + 0.5 * jnp.square(t) * (most - least))


def _falling(name: str, high: float, low: float) -> None:
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{name}: expected numbers with low < high, got {low} and {high}")


def _rising(least: float, most: float) -> None:
    if not 0 < least < most < math.inf:
        raise ValueError(f"least, most: expected 0 < least < most, got {least} and {most}")
