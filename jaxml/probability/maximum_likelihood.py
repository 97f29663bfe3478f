# SPDX-License-Identifier: Apache-2.0
"""Maximum likelihood in closed form: argmax over θ of Σ_i log p(x_i | θ), x_i along the first axis.

An estimate may lie at the edge of what is allowed, where the likelihood has a supremum and no
maximum: equal numbers have variance 0, only failures the logit −∞, an unseen class the logarithm
−∞. These come out as they are; a prior (`jaxml.probability.conjugate`) keeps away from them.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.numerics import absolute, widen, widen_all
from jaxml.types import Scalar


class Normal(NamedTuple):
    """An estimate of N(μ, σ²) for each element."""

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]


class MultivariateNormal(NamedTuple):
    """An estimate of N(μ, Σ)."""

    mean: Float[Array, "d"]
    covariance: Float[Array, "d d"]


class Laplace(NamedTuple):
    """An estimate of the Laplace distribution for each element; b = e^log_scale."""

    location: Float[Array, "*shape"]
    log_scale: Float[Array, "*shape"]


def normal(x: Float[Array, "n *shape"], *, ddof: int = 0) -> Normal:
    """μ̂ = (1/N) Σ x_i and σ̂² = (1/(N − ddof)) Σ (x_i − μ̂)².

    With ddof = 0 it is the maximum of the likelihood, whose E[σ̂²] = (N − 1)/N σ² is too small: μ̂
    lies nearer to the data than μ. With ddof = 1 the variance is unbiased, and no longer likeliest.

    Args:
      x: draws.
      ddof: what the divisor is less than N.

    Raises:
      ValueError: if `ddof` leaves no divisor.
    """
    mean, centered = _centered(x, ddof)
    return Normal(mean, jnp.sum(jnp.square(centered), axis=0) / (len(x) - ddof))


def multivariate_normal(x: Float[Array, "n d"], *, ddof: int = 0) -> MultivariateNormal:
    """μ̂ = (1/N) Σ x_i and Σ̂ = (1/(N − ddof)) Σ (x_i − μ̂)(x_i − μ̂)ᵀ, singular for N ≤ d.

    Args:
      x: draws.
      ddof: what the divisor is less than N: 0 for the maximum of the likelihood, 1 for no bias.

    Raises:
      ValueError: if `ddof` leaves no divisor.

    Reference: Bishop 2006, equations 2.121 to 2.125.
    """
    mean, centered = _centered(x, ddof)
    return MultivariateNormal(mean, centered.T @ centered / (len(x) - ddof))


def laplace(x: Float[Array, "n *shape"]) -> Laplace:
    """m̂ = median x, b̂ = (1/N) Σ |x_i − m̂|; every m between two middle values is as likely.

    Args:
      x: draws.
    """
    x = widen(x)
    location = jnp.median(x, axis=0)
    return Laplace(location, jnp.log(jnp.mean(absolute(x - location[None]), axis=0)))


def bernoulli(x: Shaped[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """The logit log(k/(N − k)) of p̂ = k/N, with k = Σ x_i; ±∞ if all x are the same.

    Args:
      x: draws, 0 or 1.
    """
    x = widen(x)
    return binomial(x, jnp.ones_like(x))


def binomial(
    successes: Shaped[Array, "n *shape"], trials: Shaped[Array, "n *shape"]
) -> Float[Array, "*shape"]:
    """The logit log(Σ k_i/Σ (n_i − k_i)) of p̂ = Σ k_i/Σ n_i.

    Args:
      successes: k.
      trials: n, as many for each of its draws.
    """
    k, n = widen_all(successes, trials)
    return jnp.log(jnp.sum(k, axis=0)) - jnp.log(jnp.sum(n - k, axis=0))


def poisson(y: Shaped[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """log λ̂, λ̂ = (1/N) Σ y_i; −∞ if nothing was ever counted.

    Args:
      y: counts.
    """
    return jnp.log(jnp.mean(widen(y), axis=0))


def categorical(counts: Shaped[Array, "*batch n_classes"]) -> Float[Array, "*batch n_classes"]:
    """log p̂_k = log(n_k/Σ n), −∞ for a class that was never seen.

    Args:
      counts: n, how often each class was drawn.
    """
    n = widen(counts)
    return jnp.log(n) - jnp.log(jnp.sum(n, axis=-1, keepdims=True))


def bic(log_prob: Float[Array, "n"], n_free: int) -> Scalar:
    """−2 Σ_i log p(x_i) + m log n: of several models at their maximum the least is best.

    Args:
      log_prob: of every row that the model was fitted to, in nats.
      n_free: m, how many numbers were free.

    Reference: Schwarz 1978, Annals of Statistics 6(2).
    """
    return -2 * jnp.sum(log_prob) + n_free * math.log(len(log_prob))


def _centered(x: Float[Array, "n *shape"], ddof: int) -> tuple[Array, Array]:
    if not len(x) > ddof >= 0:
        raise ValueError(f"ddof: expected 0 or more and less than the {len(x)} draws, got {ddof}")
    x = widen(x)
    mean = jnp.mean(x, axis=0)
    centered = x - mean[None]
    # The mean of large numbers is off by their rounding; the mean of what is left is not.
    return mean, centered - jnp.mean(centered, axis=0, keepdims=True)
