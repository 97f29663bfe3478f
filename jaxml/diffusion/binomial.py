# SPDX-License-Identifier: Apache-2.0
"""Diffusion of bits: each is kept or drawn anew as a fair coin, until nothing is left.

The bits are 0.0 and 1.0, and what is returned are probabilities of a 1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Bits = Float[Array, "*#shape"]
Part = Float[Array, "..."]


def binomial_betas(n_steps: int) -> Float[Array, " steps"]:
    """β_t = 1/(T − t + 1): every step takes the T-th part of what the data said; β_T = 1.

    Args:
      n_steps: T.

    Raises:
      ValueError: for less than one step.

    Reference: Sohl-Dickstein et al. 2015, section 2.4.1, arXiv:1503.03585.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    return jnp.asarray(1 / np.arange(n_steps, 0, -1), jnp.result_type(float))


def kept(betas: Float[Array, " steps"]) -> Float[Array, " steps_and_one"]:
    """Π (1 − β_i) for t = 0 … T: how likely a bit has never been drawn anew."""
    return jnp.concatenate([jnp.ones_like(betas[:1]), jnp.cumprod(1 - betas)])


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
      x0: x_0, 0 or 1; a network's probability of 1 calls for the average over both.
      beta: β_t.
      kept_before: `kept` at t − 1.

    Reference: Sohl-Dickstein et al. 2015, table App.1, arXiv:1503.03585.
    """
    prior = binomial_jump(x0, kept_before)
    one, zero = binomial_step(jnp.ones_like(x), beta), binomial_step(jnp.zeros_like(x), beta)
    of_one = prior * (x * one + (1 - x) * (1 - one))
    of_zero = (1 - prior) * (x * zero + (1 - x) * (1 - zero))
    return of_one / (of_one + of_zero)
