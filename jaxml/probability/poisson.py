# SPDX-License-Identifier: Apache-2.0
"""The Poisson distribution with rate λ = e^η; one value for each element, in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import stirling_remainder


def log_prob(
    y: Float[Array, "*#shape"], log_rate: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log P(y) = yη − e^η − log y!; −inf for y < 0.

    Large counts take −y(e^t − 1 − t) − (log y! − y log y + y) with t = η − log y, whose terms do
    not cancel: near its mode the printed form subtracts numbers of the size of y log y.

    Args:
      y: counts.
      log_rate: η.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities, section 2.
    """
    few = y < 8
    t = log_rate - jnp.log(jnp.where(few, 8, y))
    many = y * (jnp.expm1(t) - t) + stirling_remainder(jnp.where(few, 8, y))
    less = jnp.exp(log_rate) - y * log_rate + jax.lax.lgamma(y + 1)
    return jnp.where(y < 0, -jnp.inf, -jnp.where(few, less, many))


def log_prob_of_rate(
    y: Float[Array, "*#shape"], rate: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log P(y) = y log λ − λ − log y! from the rate itself, which may be 0: then y is 0.

    Args:
      y: counts.
      rate: λ ≥ 0; NaN where it is negative.
    """
    positive = rate > 0
    value = log_prob(y, jnp.log(jnp.where(positive, rate, 1)))
    at_zero = jnp.where(y == 0, -rate, -jnp.inf)  # −λ rather than 0, for the slope
    return jnp.where(positive, value, jnp.where(rate == 0, at_zero, jnp.nan))
