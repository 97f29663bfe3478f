# SPDX-License-Identifier: Apache-2.0
"""Counts y from a Poisson law of rate λ, and λ from the gamma law of a and b; in nats.

p(λ) ∝ λ^(a − 1) e^(−bλ). Each element by itself.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability import negative_binomial
from jaxml.probability.factorial import deviance, stirling_remainder


class Gamma(NamedTuple):
    """What is known of λ.

    Attributes:
      shape: a > 0, how much was as good as counted.
      rate: b > 0, in how many draws.
    """

    shape: Float[Array, "*shape"]
    rate: Float[Array, "*shape"]


def posterior(law: Gamma, y: Float[Array, "n *shape"]) -> Gamma:
    """a' = a + Σ y, b' = b + n.

    Args:
      law: the prior; the posterior of earlier draws.
      y: counts; none leave the prior as it is.
    """
    return Gamma(law.shape + jnp.sum(y, axis=0), law.rate + len(y))


def log_predictive(law: Gamma, y: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """log Γ(a + y)/(Γ(a) y!) + a log b/(b + 1) − y log(b + 1): the negative binomial of mean a/b.

    Args:
      law: the prior or a posterior.
      y: counts; −inf for a negative one.
    """
    log_shape = jnp.log(law.shape)
    return negative_binomial.log_prob(y, log_shape - jnp.log(law.rate), log_shape)


def log_evidence(law: Gamma, y: Float[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """log Γ(a')/Γ(a) + a log b − a' log b' − Σ log y!, by their sum and the split of the sum.

    The sum of y is negative binomial with mean na/b, and given the sum the counts are multinomial
    with probabilities 1/n: nothing of the size of y log y is subtracted.

    Args:
      law: the prior.
      y: counts.
    """
    n = len(y)
    if n == 0:
        return jnp.zeros_like(law.shape)
    outside = y < 0
    y = jnp.where(outside, 0, y)
    total, log_shape = jnp.sum(y, axis=0), jnp.log(law.shape)
    log_mean = math.log(n) + log_shape - jnp.log(law.rate)
    of_sum = negative_binomial.log_prob(total, log_mean, log_shape)
    each = stirling_remainder(y) + deviance(y, jnp.broadcast_to(total[None] / n, y.shape))
    value = of_sum + stirling_remainder(total) - jnp.sum(each, axis=0)
    return jnp.where(jnp.any(outside, axis=0), -jnp.inf, value)


def maximum_a_posteriori(law: Gamma) -> Float[Array, "*shape"]:
    """The likeliest λ, (a − 1)/b; 0 for a ≤ 1, below which the density is infinite there.

    Args:
      law: the prior or a posterior.
    """
    return jnp.maximum(law.shape - 1, 0) / law.rate
