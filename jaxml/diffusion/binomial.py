# SPDX-License-Identifier: Apache-2.0
"""Diffusion of bits: each is kept or drawn anew as a fair coin, until nothing is left.

The bits are 0.0 and 1.0, and what is returned are probabilities of a 1.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Bits = Float[Array, "*#shape"]
Part = Float[Array, "..."]


def binomial_betas(n_steps: int, power: float = 1.0) -> Float[Array, " steps"]:
    """β_t with Π_{i≤t} (1 − β_i) = 1 − (t/T)^p; for p = 1 this is 1/(T − t + 1). β_T = 1.

    With p = 1 every step takes the T-th part of what the data said. The bound K loses what the
    first step does, about β_1 log 1/β_1 a bit, and a larger p makes that step small.

    Args:
      n_steps: T.
      power: p.

    Raises:
      ValueError: for less than one step or a power below 1.

    Reference: p = 1 is Sohl-Dickstein et al. 2015, section 2.4.1, arXiv:1503.03585.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    if not 1 <= power < math.inf:
        raise ValueError(f"power: expected a number of at least 1, got {power}")
    t = np.arange(n_steps + 1.0)
    gone = t**power
    return jnp.asarray(np.diff(gone) / (gone[-1] - gone[:-1]), jnp.result_type(float))


def kept(betas: Float[Array, " steps"]) -> Float[Array, " steps_and_one"]:
    """Π (1 − β_i) for t = 0 … T: how likely a bit has never been drawn anew."""
    return jnp.concatenate([jnp.ones_like(betas[:1]), jnp.cumprod(1 - betas)])


def lost(betas: Float[Array, " steps"]) -> Float[Array, " steps_and_one"]:
    """1 − `kept`, with all its digits where hardly anything is lost yet."""
    some = -jnp.expm1(jnp.cumsum(jnp.log1p(-betas)))
    return jnp.concatenate([jnp.zeros_like(betas[:1]), some])


def binomial_step(x: Bits, beta: Part) -> Bits:
    """q(x_t = 1 | x_{t−1}) = x_{t−1} (1 − β_t) + ½ β_t.

    Args:
      x: x_{t−1}, or its probability of a 1.
      beta: β_t, broadcast against x.

    Reference: Sohl-Dickstein et al. 2015, table App.1, arXiv:1503.03585.
    """
    return x * (1 - beta) + 0.5 * beta


def binomial_jump(x0: Bits, kept: Part) -> Bits:
    """q(x_t = 1 | x_0) = x_0 k + ½ (1 − k), k the product of `kept` at t: all steps in one."""
    return binomial_step(x0, 1 - kept)


def binomial_posterior(x: Bits, x0: Bits, beta: Part, kept_before: Part) -> Bits:
    """q(x_{t−1} = 1 | x_t, x_0) by Bayes: ∝ q(x_t | x_{t−1}) q(x_{t−1} | x_0).

    Args:
      x: x_t, 0 or 1.
      x0: x_0, 0 or 1; for a network's guess of it see `binomial_reverse`.
      beta: β_t.
      kept_before: `kept` at t − 1.

    Reference: Sohl-Dickstein et al. 2015, table App.1, arXiv:1503.03585.
    """
    prior = binomial_jump(x0, kept_before)
    one, zero = binomial_step(jnp.ones_like(x), beta), binomial_step(jnp.zeros_like(x), beta)
    of_one = prior * (x * one + (1 - x) * (1 - one))
    of_zero = (1 - prior) * (x * zero + (1 - x) * (1 - zero))
    return of_one / (of_one + of_zero)
