# SPDX-License-Identifier: Apache-2.0
"""What solvers of several steps remember, and the polynomial through it.

A solver holds something nearly constant over a step, x̂_0 or ε̂, and goes on with the polynomial
through its last values. The polynomial is written by its derivatives at the newest value, in units
of the step that is taken, so that a solver says only what the integrals of u^k/k! are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxml.diffusion.solver import Event
from jaxml.types import Scalar


class Past(NamedTuple):
    """The last two values and the steps that were taken from them.

    Attributes:
      value: at the last point.
      earlier: at the one before.
      h: the step from `value` to where x is now; infinite if it began without signal.
      earlier_h: the step from `earlier` to `value`.
      n_values: how many values there are since the last infinite step, which nothing reaches over.
    """

    value: Event
    earlier: Event
    h: Scalar
    earlier_h: Scalar
    n_values: Int[Array, ""]


def start(x: Event) -> Past:
    """No values yet."""
    one = jnp.ones((), x.dtype)
    return Past(x, x, one, one, jnp.zeros((), jnp.int32))


def remember(past: Past, value: Event, h: Scalar) -> Past:
    """The past of the next step, after a step h from where the value was."""
    n_values = jnp.where(jnp.isinf(h), 0, past.n_values + 1)
    return Past(value, past.value, h, past.h, n_values)


def slope(past: Past, h: Scalar) -> Event:
    """The change from `earlier` to `value` over a step h; 0 where one of them is missing."""
    return _over(past.value - past.earlier, past.earlier_h / h, past.n_values > 1)


def extrapolated(
    order: int, h: Scalar, value: Event, past: Past, weights: Sequence[Scalar]
) -> Event:
    """w_1 p′ + w_2 p″ of Newton's polynomial p through `order` values, in units of h at the newest.

    Through two values it is w times their difference. Where values are missing the order is less.

    Args:
      order: 1, 2 or 3.
      h: the step to come.
      value: the newest.
      past: those before.
      weights: w, w_1 and w_2.
    """
    if order == 1:
        return jnp.zeros_like(value)
    of_two, first, second = weights
    one, two = past.n_values > 0, past.n_values > 1
    near = jnp.where(one, past.h, 1.0) / h
    newest = _over(value - past.value, near, one)
    if order == 2:
        return of_two * newest
    far = jnp.where(two, past.earlier_h, 1.0) / h
    curved = (newest - slope(past, h)) / (near + far)
    three = first * (newest + near * curved) + second * 2 * curved
    return jnp.where(two, three, of_two * newest)


def _over(change: Event, length: Scalar, there: Bool[Array, ""]) -> Event:
    """A difference over a length; 0, value and slope alike, where there is none."""
    return jnp.where(there, change, 0.0) / jnp.where(there, length, 1.0)


def exponential(k: int, h: Scalar) -> Float[Array, ""]:
    """∫ e^(u − h) (u/h)^k/k! du over [0, h], of h/(k + 1)! by a series where it has more digits."""
    if k == 0:
        return -jnp.expm1(-h)
    series = sum((-1) ** (i + 1) * h**i / float(math.factorial(i + k)) for i in range(1, 14))
    closed = -jnp.expm1(-h)
    for i in range(1, k + 1):
        closed = 1 / math.factorial(i) - closed / h
    return jnp.where(h < 0.5, series, closed)
