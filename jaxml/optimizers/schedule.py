# SPDX-License-Identifier: Apache-2.0
"""Learning rates as functions of the number of updates so far: η(t) for t = 0, 1, 2 and so on.

Every schedule is a pure function made by a constructor, works on traced and on whole arrays of t,
and stays at its last value after its end. `warm_up` goes in front of any of them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp

from jaxml.types import Array

Schedule = Callable[[Any], Array]


def constant(rate: float) -> Schedule:
    """η(t) = η."""
    return lambda t: jnp.full(jnp.shape(t), rate, dtype=jnp.zeros(()).dtype)


def exponential(rate: float, decay: float, period: int, *, staircase: bool = False) -> Schedule:
    """η(t) = η γ^(t/T); with a staircase γ^⌊t/T⌋.

    Args:
      rate: η.
      decay: γ, positive.
      period: T, the updates in which the rate falls by γ.
      staircase: fall once a period instead of at every update.

    Raises:
      ValueError: if `decay` or `period` is not positive.
    """
    _check(decay > 0, "decay", "a positive number", decay)
    _check(period > 0, "period", "a positive number", period)

    def schedule(t: Any) -> Array:
        turns = _real(t) / period
        return rate * decay ** (jnp.floor(turns) if staircase else turns)

    return schedule


def steps(rate: float, decay: float, at: Sequence[int]) -> Schedule:
    """η(t) = η γ^k where k of the milestones are not after t.

    Args:
      rate: η.
      decay: γ.
      at: the milestones, increasing: the update with that number is the first at the lower rate.

    Raises:
      ValueError: if the milestones do not increase.
    """
    increasing = all(a < b for a, b in pairwise(at))
    _check(increasing, "at", "increasing milestones", tuple(at))

    def schedule(t: Any) -> Array:
        passed = jnp.searchsorted(_real(jnp.array(at)), _real(t), side="right")
        return rate * decay ** _real(passed)

    return schedule


def polynomial(rate: float, last: float, length: int, *, power: float = 1.0) -> Schedule:
    """η(t) = η_T + (η₀ − η_T)(1 − t/T)^p, and η_T from T on.

    Args:
      rate: η₀.
      last: η_T.
      length: T.
      power: p; 1 is linear.

    Raises:
      ValueError: if `length` or `power` is not positive.
    """
    _check(length > 0, "length", "a positive number of updates", length)
    _check(power > 0, "power", "a positive number", power)

    def schedule(t: Any) -> Array:
        return last + (rate - last) * (1 - _share(t, length)) ** power

    return schedule


def cosine(rate: float, length: int, *, last: float = 0.0) -> Schedule:
    """η(t) = η_T + ½(η₀ − η_T)(1 + cos πt/T), and η_T from T on.

    Args:
      rate: η₀.
      length: T.
      last: η_T.

    Raises:
      ValueError: if `length` is not positive.

    Reference: Loshchilov and Hutter 2017, equation 5 without restarts, arXiv:1608.03983.
    """
    _check(length > 0, "length", "a positive number of updates", length)
    return lambda t: last + 0.5 * (rate - last) * (1 + jnp.cos(jnp.pi * _share(t, length)))


def inverse_square_root(rate: float, length: int) -> Schedule:
    """η(t) = η √T/√max(t, T): constant for T updates, then falling like 1/√t.

    Args:
      rate: η.
      length: T, often that of the warm-up before it.

    Raises:
      ValueError: if `length` is not positive.

    Reference: Vaswani et al. 2017, equation 3, arXiv:1706.03762, up to its constant.
    """
    _check(length > 0, "length", "a positive number of updates", length)
    return lambda t: rate * jnp.sqrt(length / jnp.maximum(_real(t), length))


def warm_up(length: int, after: Schedule, *, first: float = 0.0) -> Schedule:
    """η(t) = η_first + (after(0) − η_first) t/T for t < T, then after(t − T).

    Args:
      length: T; 0 leaves `after` alone.
      after: what follows, beginning at its own 0.
      first: η_first.

    Raises:
      ValueError: if `length` is negative.

    Reference: Goyal et al. 2017, section 2.2, arXiv:1706.02677.
    """
    _check(length >= 0, "length", "a number of updates", length)
    if length == 0:
        return after

    def schedule(t: Any) -> Array:
        rise = first + (after(0) - first) * _share(t, length)
        return jnp.where(_real(t) < length, rise, after(jnp.maximum(_real(t) - length, 0.0)))

    return schedule


def one_cycle(
    peak: float,
    length: int,
    *,
    rise: float = 0.3,
    first: float = 25.0,
    last: float = 1e4,
) -> Schedule:
    """From η/first up to η in rise·T updates, then down to η/(first·last), both along cosines.

    Args:
      peak: η, the largest rate.
      length: T.
      rise: the share of T that goes up.
      first: by how much the first rate is below the peak.
      last: by how much the last rate is below the first.

    Raises:
      ValueError: if `length`, `first` or `last` is not positive or `rise` not inside (0, 1).

    Reference: Smith and Topin 2017, arXiv:1708.07120; with cosines as in PyTorch and Optax.
    """
    _check(length > 0, "length", "a positive number of updates", length)
    _check(0 < rise < 1, "rise", "a number inside (0, 1)", rise)
    _check(first > 0 and last > 0, "first, last", "positive numbers", (first, last))
    top = int(rise * length)
    up = cosine(peak / first, max(top, 1), last=peak)
    down = cosine(peak, length - top, last=peak / (first * last))
    return lambda t: jnp.where(_real(t) < top, up(t), down(jnp.maximum(_real(t) - top, 0.0)))


def _real(t: Any) -> Array:
    return jnp.asarray(t).astype(jnp.zeros(()).dtype)


def _share(t: Any, length: int) -> Array:
    return jnp.clip(_real(t) / length, 0.0, 1.0)


def _check(good: bool, name: str, expected: str, value: Any) -> None:
    if not good:
        raise ValueError(f"{name}: expected {expected}, got {value}")
