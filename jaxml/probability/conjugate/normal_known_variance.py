# SPDX-License-Identifier: Apache-2.0
"""Draws x from N(μ, e^ℓ) with ℓ known, and μ from N(m, e^k): each element by itself, in nats."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability import normal


class Normal(NamedTuple):
    """What is known of μ.

    Attributes:
      mean: m.
      log_variance: k.
    """

    mean: Float[Array, "*shape"]
    log_variance: Float[Array, "*shape"]


def posterior(
    law: Normal, x: Float[Array, "n *shape"], log_variance: Float[Array, "*#shape"]
) -> Normal:
    """1/v' = e^−k + n e^−ℓ, m' = m + w (x̄ − m) with w = v' n e^−ℓ, the data's share.

    Args:
      law: the prior; the posterior of earlier draws.
      x: draws; none leave the prior as it is.
      log_variance: ℓ, of one draw.

    Reference: Bishop 2006, equations 2.141 and 2.142.
    """
    n = len(x)
    if n == 0:
        return law
    of_data = math.log(n) - log_variance
    share = jax.nn.sigmoid(of_data + law.log_variance)
    mean = law.mean + share * (jnp.mean(x, axis=0) - law.mean)
    return Normal(mean, -jnp.logaddexp(-law.log_variance, of_data))


def log_predictive(
    law: Normal, x: Float[Array, "*#shape"], log_variance: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log N(x; m, e^k + e^ℓ): wider than N(x; m, e^ℓ) by what is not known of μ.

    Args:
      law: the prior or a posterior.
      x: where.
      log_variance: ℓ, of one draw.
    """
    return normal.log_prob(x, law.mean, jnp.logaddexp(law.log_variance, log_variance))


def log_evidence(
    law: Normal, x: Float[Array, "n *shape"], log_variance: Float[Array, "*#shape"]
) -> Float[Array, "*shape"]:
    """log p(x_1, …, x_n), the draws being N(m, e^ℓ I + e^k 11ᵀ) together.

    Args:
      law: the prior.
      x: draws.
      log_variance: ℓ, of one draw.
    """
    n = len(x)
    if n == 0:
        return jnp.zeros_like(law.mean)
    center = jnp.mean(x, axis=0)
    inside = jnp.sum(jnp.square(x - center[None]), axis=0) * jnp.exp(-log_variance)
    of_center = log_predictive(law, center, log_variance - math.log(n))
    rest = inside + (n - 1) * (normal.LOG_2PI + log_variance) + math.log(n)
    return of_center - 0.5 * rest


def maximum_a_posteriori(law: Normal) -> Float[Array, "*shape"]:
    """The likeliest μ, which is m.

    Args:
      law: the prior or a posterior.
    """
    return law.mean
