# SPDX-License-Identifier: Apache-2.0
"""Likelihoods p(x|z): how the raw outputs of a decoder become a distribution over data."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import soft_clip, widen
from jaxml.probability import bernoulli as bernoulli_distribution
from jaxml.probability import discretized_logistic as logistic_distribution
from jaxml.probability import normal as normal_distribution


class Likelihood(NamedTuple):
    """A distribution over data, elementwise and independent given the decoder's raw output.

    The raw output has the shape of the data with the last axis `n_heads` times as long. The
    constructors below are cached: equal options give the same object, so that two models built
    alike share one compiled program.

    Attributes:
      n_heads: raw numbers for each element of x.
      log_prob: `(x, raw) -> log p` of each element in nats.
      location: `raw -> x`, what to show: the mean, or the location of the logistic.
      sample: `(raw, key) -> x`.
    """

    n_heads: int
    log_prob: Callable[..., Float[Array, "..."]]
    location: Callable[..., Float[Array, "..."]]
    sample: Callable[..., Float[Array, "..."]]


@cache
def bernoulli() -> Likelihood:
    """x ~ Bernoulli(σ(raw)); data in {0, 1}."""

    def log_prob(x, raw):
        return bernoulli_distribution.log_prob(widen(x), widen(raw))

    def location(raw):
        return jax.nn.sigmoid(widen(raw))

    def sample(raw, key):
        return bernoulli_distribution.sample(widen(raw), key).astype(jnp.float32)

    return Likelihood(1, log_prob, location, sample)


@cache
def normal(*, limit: float = 10.0) -> Likelihood:
    """x ~ N(μ, e^ℓ) with μ and ℓ = c·tanh(raw/c) learned for each element.

    A bounded ℓ is what makes the likelihood bounded: as σ → 0 on a constant pixel the density
    grows without end. The bound is smooth, so no head is left without a gradient by a clamp.

    Args:
      limit: c, the largest |log σ²|; 10 allows σ from 0.007 to 148.
    """

    def heads(raw):
        mean, raw_log_variance = jnp.split(widen(raw), 2, axis=-1)
        return mean, soft_clip(raw_log_variance, limit)

    def log_prob(x, raw):
        return normal_distribution.log_prob(widen(x), *heads(raw))

    def location(raw):
        return heads(raw)[0]

    def sample(raw, key):
        mean, log_variance = heads(raw)
        eps = jax.random.normal(key, mean.shape, mean.dtype)
        return normal_distribution.reparameterize(mean, log_variance, eps)

    return Likelihood(2, log_prob, location, sample)


@cache
def normal_with_variance(variance: float) -> Likelihood:
    """x ~ N(raw, σ²) with one fixed σ²: squared error in nats.

    Args:
      variance: σ².
    """
    if not variance > 0:
        raise ValueError(f"variance: expected a positive number, got {variance}")

    def log_prob(x, raw):
        raw = widen(raw)
        return normal_distribution.log_prob(widen(x), raw, jnp.full_like(raw, jnp.log(variance)))

    def sample(raw, key):
        raw = widen(raw)
        return raw + variance**0.5 * jax.random.normal(key, raw.shape, raw.dtype)

    return Likelihood(1, log_prob, widen, sample)


@cache
def discretized_logistic(*, n_levels: int = 256, limit: float = 7.0) -> Likelihood:
    """x ~ logistic(μ, s) read off on `n_levels` levels of [−1, 1], log s = c·tanh(raw/c).

    Args:
      n_levels: levels of the data, 256 for bytes.
      limit: c, the largest |log s|.
    """

    def heads(raw):
        mean, raw_log_scale = jnp.split(widen(raw), 2, axis=-1)
        return mean, soft_clip(raw_log_scale, limit)

    def log_prob(x, raw):
        return logistic_distribution.log_prob(widen(x), *heads(raw), n_levels=n_levels)

    def location(raw):
        return jnp.clip(heads(raw)[0], -1, 1)

    def sample(raw, key):
        return logistic_distribution.sample(*heads(raw), key, n_levels=n_levels)

    return Likelihood(2, log_prob, location, sample)
