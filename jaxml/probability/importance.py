# SPDX-License-Identifier: Apache-2.0
"""Importance weights, in logarithms: what draws of another density say of the wanted one."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import logsumexp
from jaxml.types import Scalar


class LogMean(NamedTuple):
    """The logarithm of a mean of weights.

    Attributes:
      value: log (1/n) Σ w_i in nats. The mean has no bias; its logarithm is, on average, too small.
      standard_error: of the value, by the delta method; to be trusted while it is far below 1.
      effective: the effective number of weights.
    """

    value: Scalar
    standard_error: Scalar
    effective: Scalar


def normalize(log_weights: Float[Array, "n"]) -> Float[Array, "n"]:
    """w_i/Σ w: what self-normalized averages E_p f ≈ Σ w_i f(x_i) weigh with.

    Args:
      log_weights: log p(x_i) − log q(x_i), up to a constant, for x_i from q.
    """
    return jnp.exp(log_weights - logsumexp(log_weights))


def effective_size(log_weights: Float[Array, "n"]) -> Scalar:
    """(Σ w)²/Σ w², between 1 and n: as many draws of p are about as good as these of q.

    It cannot see what no draw has reached: weights may look even because all of them miss p.

    Args:
      log_weights: up to a constant.

    Reference: Kong 1992; Owen 2013, Monte Carlo theory, methods and examples, equation 9.13.
    """
    return jnp.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))


def log_mean(log_weights: Float[Array, "n"]) -> LogMean:
    """log (1/n) Σ w_i with standard error √((n/n_eff − 1)/(n − 1)), the relative one of the mean.

    Args:
      log_weights: their logarithms in nats; −∞ is a weight of 0.

    Raises:
      ValueError: for fewer than two weights.
    """
    n = len(log_weights)
    if n < 2:
        raise ValueError(f"log_weights: a standard error needs at least 2, got {n}")
    effective = effective_size(log_weights)
    excess = jnp.maximum(n / effective - 1, 0.0)  # rounding may leave it below
    value = logsumexp(log_weights) - math.log(n)
    return LogMean(value, jnp.sqrt(excess / (n - 1)), effective)
