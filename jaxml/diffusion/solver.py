# SPDX-License-Identifier: Apache-2.0
"""Solvers: from x at one noise level to x at the next lower one, by what a network makes of x."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.grid import Points, pairs
from jaxml.diffusion.noise import posterior, transition
from jaxml.diffusion.parameterization import Clean
from jaxml.types import Key

Event = Float[Array, "*batch_and_event"]
Denoise = Callable[[Event, Points], Clean]
"""`(x, point) -> Clean`: what x at this point is taken for. Its x_0 and ε must make x."""

Memory = Any


class Solver(NamedTuple):
    """One step, and what it remembers of those before.

    Attributes:
      start: `x -> memory`, before the first step.
      step: `(denoise, x, now, then, key, memory) -> (x, memory)`.
    """

    start: Callable[[Event], Memory]
    step: Callable[[Denoise, Event, Points, Points, Key, Memory], tuple[Event, Memory]]


def integrate(solver: Solver, denoise: Denoise, grid: Points, x: Event, key: Key) -> Event:
    """x at the last point of a grid, from x at the first; one program for grids of one length.

    Args:
      solver: takes the steps.
      denoise: the network.
      grid: n + 1 points for n steps.
      x: at the first of them, such as σ times a draw of N(0, I).
      key: for solvers that add noise.
    """

    def step(carry, place):
        x, memory = carry
        i, now, then = place
        return solver.step(denoise, x, now, then, jax.random.fold_in(key, i), memory), None

    n = grid.t.shape[0] - 1
    return jax.lax.scan(step, (x, solver.start(x)), (jnp.arange(n), *pairs(grid)))[0][0]


def _nothing(x: Event) -> tuple:
    del x
    return ()


@cache
def ddim(eta: float = 0.0) -> Solver:
    """x_s = α_s x̂_0 + √(σ_s² − η² β̃) ε̂ + η √β̃ z, β̃ the variance of the posterior.

    With η = 0 no noise is added and the step is one of Euler on the probability-flow equation in
    x/α and σ/α; with η = 1 it is a draw of the posterior.

    Args:
      eta: η.

    Raises:
      ValueError: if it is not in [0, 1].

    Reference: Song et al. 2021, equations 12 and 16, arXiv:2010.02502.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected a number in [0, 1], got {eta}")

    def step(denoise, x, now, then, key, memory):
        clean = denoise(x, now)
        variance = eta**2 * posterior(then.noise, now.noise).variance
        kept = jnp.sqrt(jnp.maximum(jnp.square(then.noise.sigma) - variance, 0.0))
        x = then.noise.alpha * clean.x0 + kept * clean.eps
        if eta > 0:
            x = x + jnp.sqrt(variance) * jax.random.normal(key, x.shape, x.dtype)
        return x, memory

    return Solver(_nothing, step)


@cache
def ancestral(*, large: bool = False) -> Solver:
    """A draw of N(posterior mean at x̂_0, variance), without noise in the step that ends clean.

    Args:
      large: whether the variance is that of the forward step, β, which is right for data of unit
        variance, and not the posterior's β̃, which is right for data that are one point.

    Reference: Ho et al. 2020, algorithm 2 and section 3.2, arXiv:2006.11239.
    """

    def step(denoise, x, now, then, key, memory):
        clean = denoise(x, now)
        back = posterior(then.noise, now.noise)
        forth = transition(then.noise, now.noise).variance
        variance = jnp.where(then.noise.sigma > 0, forth if large else back.variance, 0.0)
        z = jax.random.normal(key, x.shape, x.dtype)
        return back.of_now * x + back.of_start * clean.x0 + jnp.sqrt(variance) * z, memory

    return Solver(_nothing, step)


@cache
def heun() -> Solver:
    """The trapezoid of ε̂ over σ/α for x/α, second order by two evaluations a step.

    The step that ends clean, and one that begins without signal, are steps of Euler: there σ/α or
    its inverse is no number.

    Reference: Karras et al. 2022, algorithm 1, arXiv:2206.00364.
    """

    def step(denoise, x, now, then, key, memory):
        del key
        clean = denoise(x, now)
        before, after = (p.noise.sigma / p.noise.alpha for p in (now, then))

        def corrected(euler):
            change = 0.5 * (denoise(euler, then).eps - clean.eps)
            return euler + then.noise.alpha * (after - before) * change

        euler = then.noise.alpha * clean.x0 + then.noise.sigma * clean.eps
        inner = (then.noise.sigma > 0) & (now.noise.alpha > 0)
        return jax.lax.cond(inner, corrected, lambda x: x, euler), memory

    return Solver(_nothing, step)
