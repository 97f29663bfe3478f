# SPDX-License-Identifier: Apache-2.0
"""Solvers that add noise on the way: the reverse equation, Langevin correction and churn."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.grid import Points, time_of
from jaxml.diffusion.noise import posterior, transition
from jaxml.diffusion.schedule import Schedule, rates
from jaxml.diffusion.solver import Denoise, Event, Solver, heun
from jaxml.numerics import norm
from jaxml.types import Key

Size = Callable[[Event, Event], Float[Array, "..."]]
"""`(score, z) -> h`: how long a Langevin step is, one number or one a row."""


@cache
def euler_maruyama(schedule: Schedule) -> Solver:
    """x_s = x_t − (f x_t − g² score) (t − s) + g √(t − s) z, the reverse-time equation.

    The step that ends clean, and one that begins without signal, where f and g² are infinite, are
    draws of the posterior at x̂_0 as in `ancestral`. Near such a beginning steps should be short
    beside 1/|f|.

    Args:
      schedule: of the grid; its rates are f and g².

    Reference: Song et al. 2021, equation 6, arXiv:2011.13456.
    """

    def step(denoise, x, now, then, key, memory):
        clean = denoise(x, now)
        z = jax.random.normal(key, x.shape, x.dtype)

        def euler(x):
            rate, length = rates(schedule, now.t), now.t - then.t
            drift = rate.drift * x + rate.diffusion / now.noise.sigma * clean.eps
            return x - length * drift + jnp.sqrt(rate.diffusion * length) * z

        def drawn(x):
            back = posterior(then.noise, now.noise)
            mean = back.of_now * x + back.of_start * clean.x0
            return mean + jnp.sqrt(back.variance) * z

        inner = (then.noise.sigma > 0) & (now.noise.alpha > 0)
        return jax.lax.cond(inner, euler, drawn, x), memory

    return Solver(lambda x: (), step)


def langevin(denoise: Denoise, x: Event, point: Points, key: Key, size: Size) -> Event:
    """x + h score + √(2h) z at one noise level, whose law it keeps but for an error of order h.

    On a Gaussian of variance V with steps of one length the law is of variance V/(1 − h/(2V)).

    Args:
      denoise: says ε; the score is −ε/σ.
      x: at this point.
      point: where there is noise.
      key: for z.
      size: of the step.

    Reference: Song and Ermon 2019, algorithm 1, arXiv:1907.05600, with h for α/2.
    """
    return _moved(denoise, x, point, jax.random.normal(key, x.shape, x.dtype), size)


def _moved(denoise: Denoise, x: Event, point: Points, z: Event, size: Size) -> Event:
    score = -denoise(x, point).eps / point.noise.sigma
    h = size(score, z)
    return x + h * score + jnp.sqrt(2 * h) * z


@cache
def signal_to_noise(snr: float = 0.16, axes: tuple[int, ...] | None = None) -> Size:
    """h = 2 (r ‖z‖/‖score‖)², with which the score's share of a step is r times the noise's.

    Many Gaussian numbers of variance V are left with (1 + r²) V, at any noise.

    Args:
      snr: r.
      axes: of one example; by default all, so that a batch takes one step. An example of few
        numbers needs that: its own norm may be near 0.

    Raises:
      ValueError: if r is not positive.

    Reference: Song et al. 2021, algorithm 4, arXiv:2011.13456. Its algorithm 5 has a factor 1 − β
    besides, which is near 1.
    """
    if not snr > 0:
        raise ValueError(f"snr: expected a positive number, got {snr}")

    def size(score, z):
        lengths = [norm(a, axis=axes, keepdims=axes is not None) for a in (z, score)]
        there = lengths[1] > 0
        ratio = jnp.where(there, lengths[0], 0.0) / jnp.where(there, lengths[1], 1.0)
        return 2 * jnp.square(snr * ratio)

    return size


@cache
def predictor_corrector(
    predictor: Solver,
    n_corrector: int = 1,
    snr: float = 0.16,
    *,
    axes: tuple[int, ...] | None = None,
) -> Solver:
    """Every step of a solver is followed by steps of Langevin at the noise that it has reached.

    There are none after a step that ends clean.

    Args:
      predictor: takes the steps from one noise to another.
      n_corrector: how many steps correct each.
      snr: how long they are, see `signal_to_noise`.
      axes: of one example, see there.

    Raises:
      ValueError: for less than one corrector step.

    Reference: Song et al. 2021, algorithm 1 with algorithms 4 and 5, arXiv:2011.13456.
    """
    if n_corrector < 1:
        raise ValueError(f"n_corrector: expected at least 1, got {n_corrector}")
    size = signal_to_noise(snr, axes)

    def step(denoise, x, now, then, key, memory):
        ours, theirs = jax.random.split(key)
        x, memory = predictor.step(denoise, x, now, then, theirs, memory)

        # Drawn here, because a choice that is mapped over may not take keys.
        zs = jax.random.normal(ours, (n_corrector, *x.shape), x.dtype)

        def corrected(x):
            return jax.lax.scan(lambda x, z: (_moved(denoise, x, then, z, size), None), x, zs)[0]

        return jax.lax.cond(then.noise.sigma > 0, corrected, lambda x: x, x), memory

    return Solver(predictor.start, step)


@cache
def churned(
    schedule: Schedule,
    n_steps: int,
    *,
    churn: float = 40.0,
    least: float = 0.05,
    most: float = 50.0,
    noise: float = 1.003,
    solver: Solver | None = None,
) -> Solver:
    """Before a step σ/α is raised by a factor 1 + γ through fresh noise, γ = min(churn/n, √2 − 1).

    A step that ends clean is left alone, and so is the noise outside of [least, most]. The raised
    level is that of a time of the schedule, found by bisection, and not beyond its end.

    Args:
      schedule: of the grid.
      n_steps: n, of the whole grid.
      churn: S_churn, 0 for none.
      least: S_tmin, the least σ/α that is raised.
      most: S_tmax, the largest.
      noise: S_noise, the standard deviation of the fresh noise, in units of the right one.
      solver: takes the step from the raised level, `heun` by default; one that remembers earlier
        steps does not know of this one.

    Raises:
      ValueError: for numbers out of their range.

    Reference: Karras et al. 2022, algorithm 2, arXiv:2206.00364.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    if not (churn >= 0 and noise >= 0):
        raise ValueError(f"churn, noise: expected numbers not below 0, got {churn} and {noise}")
    if not 0 <= least <= most:
        raise ValueError(f"least, most: expected 0 <= least <= most, got {least} and {most}")
    inner, factor = solver or heun(), 1 + min(churn / n_steps, 2**0.5 - 1)
    if churn == 0:
        return inner

    def step(denoise, x, now, then, key, memory):
        ours, theirs = jax.random.split(key)
        z = jax.random.normal(ours, x.shape, x.dtype)

        def raised(x):
            log_snr = now.noise.log_snr - 2 * jnp.log(jnp.asarray(factor, x.dtype))
            t = time_of(schedule, log_snr)
            up = schedule.at(t)
            forth = transition(now.noise, up)
            # At the end of the schedule the raised level is the present one, up to rounding.
            deviation = noise * jnp.sqrt(jnp.maximum(forth.variance, 0.0))
            return forth.scale * x + deviation * z, Points(t, up)

        level = now.noise.sigma / now.noise.alpha
        raises = (level >= least) & (level <= most) & jnp.isfinite(level) & (then.noise.sigma > 0)
        x, now = jax.lax.cond(raises, raised, lambda x: (x, now), x)
        return inner.step(denoise, x, now, then, theirs, memory)

    return Solver(inner.start, step)
