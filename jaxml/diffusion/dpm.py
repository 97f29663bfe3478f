# SPDX-License-Identifier: Apache-2.0
"""DPM-Solver++: the linear part of the equation exactly, x̂_0 by what it was in the steps before.

With ℓ = log(α/σ) and h = ℓ_s − ℓ_t for the step from t to s, x_s is (σ_s/σ_t) x_t +
α_s ∫ e^(ℓ − ℓ_s) x̂_0 dℓ, and x̂_0 is replaced by a polynomial in ℓ through its last values.
"""

import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.solver import Event, Solver
from jaxml.types import Scalar


class Past(NamedTuple):
    """The last two values of x̂_0 and the steps behind which they lie."""

    x0: Event
    earlier_x0: Event
    h: Scalar
    earlier_h: Scalar
    n_steps: Scalar


@cache
def dpm_plus_plus(order: int = 2) -> Solver:
    """The multistep solver of first, second or third order, one evaluation a step.

    Of first order it is `ddim(0)`. The first steps, which have no past, are of one order less, for
    which the third-order solver looks twice in its very first step; the step that ends clean, which
    has no length in ℓ, is of first order.

    Args:
      order: 1, 2 or 3.

    Raises:
      ValueError: for another one.

    Reference: Lu et al. 2022, algorithm 2 and appendix, arXiv:2211.01095.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order}")

    def step(denoise, x, now, then, key, past):
        del key
        x0 = denoise(x, now).x0
        h = 0.5 * (then.noise.log_snr - now.noise.log_snr)
        linear = then.noise.sigma / now.noise.sigma * x
        ends = jnp.isinf(h)
        finite = jnp.where(ends, 1.0, h)
        change = _first(finite) * x0 + _slopes(order, finite, x0, past)
        change = jnp.where(ends, x0, change)

        def begun(x):
            """A trapezoid: a first step of first order would leave an error of second order."""
            slope = denoise(x, then).x0 - x0
            return linear + then.noise.alpha * (change + _weight(1, finite) * slope)

        x = linear + then.noise.alpha * change
        if order == 3:
            x = jax.lax.cond((past.n_steps == 0) & ~ends, begun, lambda x: x, x)
        return x, Past(x0, past.x0, h, past.h, past.n_steps + 1)

    return Solver(_start, step)


@cache
def dpm_plus_plus_sde() -> Solver:
    """The second-order solver of the reverse stochastic equation, one evaluation a step.

    x_s = (σ_s/σ_t) e^−h x_t + α_s (1 − e^−2h) (x̂_0 + ½ Δ) + σ_s √(1 − e^−2h) z, Δ the change of x̂_0
    that the last step lets expect of this one.

    Reference: Lu et al. 2022, section 5, arXiv:2211.01095.
    """

    def step(denoise, x, now, then, key, past):
        x0 = denoise(x, now).x0
        h = 0.5 * (then.noise.log_snr - now.noise.log_snr)
        ends = jnp.isinf(h) | (past.n_steps == 0)
        ahead = jnp.where(ends, 0.0, h) / jnp.where(past.n_steps == 0, 1.0, past.h)
        gone = -jnp.expm1(-2 * h)
        z = jax.random.normal(key, x.shape, x.dtype)
        kept = then.noise.sigma / now.noise.sigma * jnp.exp(-h)
        x = (
            kept * x
            + then.noise.alpha * gone * (x0 + 0.5 * ahead * (x0 - past.x0))
            + then.noise.sigma * jnp.sqrt(gone) * z
        )
        return x, Past(x0, past.x0, h, past.h, past.n_steps + 1)

    return Solver(_start, step)


def _start(x: Event) -> Past:
    one = jnp.ones((), x.dtype)
    return Past(x, x, one, one, jnp.zeros((), jnp.int32))


def _first(h: Float[Array, ""]) -> Float[Array, ""]:
    """1 − e^−h, the integral of the weight of a constant."""
    return -jnp.expm1(-h)


def _slopes(order: int, h: Scalar, x0: Event, past: Past) -> Event:
    """What slope and curvature of x̂_0 add, as divided differences in units of h."""
    if order == 1:
        return jnp.zeros_like(x0)
    near, far = past.h / h, past.earlier_h / h
    slope = (x0 - past.x0) / near
    second = 0.5 * _first(h) * slope
    if order == 2:
        return jnp.where(past.n_steps > 0, second, 0.0)
    # Newton's polynomial through three values, by its derivatives at the last of them.
    curved = (slope - (past.x0 - past.earlier_x0) / far) / (near + far)
    third = _weight(1, h) * (slope + near * curved) + _weight(2, h) * 2 * curved
    return jnp.where(past.n_steps > 1, third, jnp.where(past.n_steps > 0, second, 0.0))


def _weight(k: int, h: Scalar) -> Scalar:
    """∫ e^(u − h) (u/h)^k/k! du over [0, h], of h/(k + 1)! by a series where it has more digits."""
    series = sum((-1) ** (i + 1) * h**i / float(math.factorial(i + k)) for i in range(1, 12))
    closed = _first(h)
    for i in range(1, k + 1):
        closed = 1 / math.factorial(i) - closed / h
    return jnp.where(h < 0.5, series, closed)
