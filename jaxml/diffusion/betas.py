# SPDX-License-Identifier: Apache-2.0
"""Schedules in steps: β_1 … β_T, the variance that each step of a chain adds.

x_t = √(1 − β_t) x_{t−1} + √β_t ε, and with ᾱ_t = Π (1 − β_i) at once x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.diffusion.noise import Noise
from jaxml.diffusion.schedule import Schedule, Time
from jaxml.numerics import log1mexp

Betas = Float[Array, " steps"]
MOST = 0.999
"""No step forgets everything: with β = 1 its inverse would not know where it came from."""


def linear_betas(n_steps: int, first: float = 1e-4, last: float = 0.02) -> Betas:
    """β on a straight line; the numbers are those of 1000 steps.

    Args:
      n_steps: T.
      first: β_1.
      last: β_T.

    Raises:
      ValueError: for less than one step, or unless 0 < first ≤ last < 1.

    Reference: Ho et al. 2020, section 4, arXiv:2006.11239.
    """
    _check(n_steps)
    if not 0 < first <= last < 1:
        raise ValueError(f"first, last: expected 0 < first <= last < 1, got {first} and {last}")
    return jnp.linspace(first, last, n_steps)


def cosine_betas(n_steps: int, offset: float = 0.008) -> Betas:
    """ᾱ_t = cos²(π/2 · (t/T + s)/(1 + s)) over its value at t = 0; β at most 0.999.

    Args:
      n_steps: T.
      offset: s.

    Raises:
      ValueError: for less than one step or an offset that is not positive.

    Reference: Nichol and Dhariwal 2021, equation 17, arXiv:2102.09672.
    """
    _check(n_steps)
    if not offset > 0:
        raise ValueError(f"offset: expected a positive number, got {offset}")
    # The cosine as the sine of what is left to π/2, in double precision on the host.
    left = (1 - np.arange(n_steps + 1) / n_steps) / (1 + offset)
    return _from_products(np.sin(0.5 * np.pi * left) ** 2)


def sigmoid_betas(
    n_steps: int, start: float = -3.0, end: float = 3.0, temperature: float = 1.0
) -> Betas:
    """ᾱ_t falls like a sigmoid over [start, end]/τ, from 1 to 0; β at most 0.999.

    Args:
      n_steps: T.
      start: where the sigmoid is entered.
      end: where it is left.
      temperature: τ.

    Raises:
      ValueError: for less than one step, unless start < end, or a temperature that is not positive.

    Reference: Jabri et al. 2023, algorithm 4, arXiv:2212.11972.
    """
    _check(n_steps)
    if not start < end or not temperature > 0:
        raise ValueError(
            f"start, end, temperature: expected start < end and a positive temperature, "
            f"got {start}, {end}, {temperature}"
        )
    place = (start + (end - start) * np.arange(n_steps + 1) / n_steps) / temperature
    level = 1 / (1 + np.exp(-place))
    return _from_products((level[-1] - level) / (level[-1] - level[0]))


def betas_of(schedule: Schedule, n_steps: int) -> Betas:
    """β between the times 0, 1/T, …, 1 of a variance-preserving schedule; the first starts clean.

    Raises:
      ValueError: for less than one step.
    """
    _check(n_steps)
    level = schedule.at(jnp.linspace(0.0, 1.0, n_steps + 1)).log_snr
    # 1 − ᾱ_t/ᾱ_s with ᾱ = σ(λ): σ(−λ_t) (1 − e^(λ_t − λ_s)).
    lost = -jnp.expm1(level[1:] - level[:-1]) / (1 + jnp.exp(level[1:]))
    return jnp.minimum(lost, MOST)


def zero_terminal_betas(betas: Betas) -> Betas:
    """√ᾱ shifted and scaled so that √ᾱ_T = 0 and √ᾱ_1 stays; the last β is 1.

    Nothing of x_0 is left after the last step, and there ε cannot be what a network predicts.

    Reference: Lin et al. 2024, algorithm 1, arXiv:2305.08891.
    """
    root = jnp.exp(0.5 * jnp.cumsum(jnp.log1p(-betas)))
    moved = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    before = jnp.concatenate([jnp.ones_like(moved[:1]), moved[:-1]])
    return 1 - jnp.square(moved / before)


def noise_of(betas: Betas) -> Noise:
    """α_t = √ᾱ_t, σ_t = √(1 − ᾱ_t) and their log-SNR for t = 0 … T; at t = 0 there is no noise.

    ᾱ as e^(Σ log1p(−β)), and 1 − ᾱ by expm1: a running product in single precision is wrong by 2e-4
    where 1 − ᾱ is small.
    """
    log_product = jnp.cumsum(jnp.log1p(-betas))
    log_product = jnp.concatenate([jnp.zeros_like(betas[:1]), log_product])
    rest = -jnp.expm1(log_product)
    return Noise(jnp.exp(0.5 * log_product), jnp.sqrt(rest), log_product - jnp.log(rest))


def schedule_of(betas: Betas) -> Schedule:
    """The steps in continuous time: β(t) = −T log(1 − β_i) for t in ((i − 1)/T, i/T].

    At t = i/T it is level i of `noise_of`, so that a model of the chain and one in continuous time
    are trained, solved and scored by the same functions. There is no noise at t = 0.

    Args:
      betas: β_1 … β_T, numbers and no tracers; a last β of 1 is a zero-terminal schedule.

    Raises:
      ValueError: unless every β is in (0, 1), or the last one 1.
    """
    values = np.asarray(betas, np.float64)
    if values.ndim != 1 or not (values > 0).all() or not (values[:-1] < 1).all() or values[-1] > 1:
        raise ValueError("betas: expected a vector of numbers in (0, 1), the last at most 1")
    ends_at_zero = bool(values[-1] == 1)
    # α = e^−1000 is 0 in every float: the way to no signal, short of an infinite rate.
    lost = np.where(values < 1, np.log1p(-np.minimum(values, 1 - 1e-16)), -2000.0)
    levels = np.concatenate([np.zeros(1), np.cumsum(lost)])

    def at(t: Time) -> Noise:
        nodes = jnp.linspace(0.0, 1.0, len(levels), dtype=t.dtype)
        log_product = jnp.interp(t, nodes, jnp.asarray(levels, t.dtype))
        log_rest = log1mexp(-log_product)
        alpha = jnp.exp(0.5 * log_product)
        log_snr = jnp.where(alpha > 0, log_product - log_rest, -jnp.inf)
        return Noise(alpha, jnp.exp(0.5 * log_rest), log_snr)

    return Schedule(at, zero_terminal=ends_at_zero)


def _from_products(products: np.ndarray) -> Betas:
    """β_t = 1 − ᾱ_t/ᾱ_{t−1}."""
    return jnp.asarray(np.minimum(1 - products[1:] / products[:-1], MOST), jnp.result_type(float))


def _check(n_steps: int) -> None:
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
