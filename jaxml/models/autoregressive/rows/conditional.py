# SPDX-License-Identifier: Apache-2.0
"""What a column may be, given what a network says of those before it."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxml.diffusion.discrete import gumbel_max
from jaxml.losses.classification import cross_entropy
from jaxml.numerics import logsumexp, soft_clip, widen
from jaxml.probability import bernoulli as bernoulli_distribution
from jaxml.probability import normal


class Conditional(NamedTuple):
    """A law p(x_i | raw) of a column, and how a network reads one.

    The constructors below are cached: equal options give the same object, so that two models built
    alike share one compiled program.

    Attributes:
      n_raw: numbers that a network says of a column.
      n_features: numbers that a network reads of one.
      features: `x (...) -> (..., n_features)`.
      log_prob: `(x (...), raw (..., n_raw)) -> (...)`, in nats.
      sample: `(raw (..., n_raw), key) -> x (...)`.
    """

    n_raw: int
    n_features: int
    features: Callable[[Array], Array]
    log_prob: Callable[[Array, Array], Array]
    sample: Callable[[Array, Array], Array]


@cache
def bernoulli() -> Conditional:
    """P(x = 1) = σ(raw); columns of 0 and 1."""

    def log_prob(x, raw):
        raw = widen(raw)[..., 0]
        return bernoulli_distribution.log_prob(x.astype(raw.dtype), raw)

    def sample(raw, key):
        return bernoulli_distribution.sample(widen(raw)[..., 0], key).astype(raw.dtype)

    return Conditional(1, 1, lambda x: widen(x)[..., None], log_prob, sample)


@cache
def categorical(n: int) -> Conditional:
    """P(x = k) = softmax(raw)_k; columns of 0 … n − 1, read as one-hot vectors.

    A number that is none of these has probability NaN.

    Args:
      n: categories.

    Raises:
      ValueError: if there is none.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 category, got {n}")

    def log_prob(x, raw):
        return -cross_entropy(raw, x.astype(jnp.int32))

    def features(x):
        return jax.nn.one_hot(x, n)

    return Conditional(n, n, features, log_prob, gumbel_max)


@cache
def normal_mixture(n: int, *, limit: float = 10.0) -> Conditional:
    """p(x) = Σ_k softmax(a)_k N(x; μ_k, e^ℓ_k) with raw = (a, μ, raw ℓ), ℓ = c·tanh(raw ℓ/c).

    Args:
      n: normal laws in the mixture.
      limit: c, the largest |log σ²|: what keeps the density of a constant column bounded.

    Raises:
      ValueError: if there is no law, or the limit is not positive.

    Reference: Uria, Murray and Larochelle 2013, section 2.2, arXiv:1306.0186.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 law, got {n}")
    if not limit > 0:
        raise ValueError(f"limit: expected a positive number, got {limit}")

    def parts(raw):
        weight, mean, log_variance = jnp.split(widen(raw), 3, axis=-1)
        return jax.nn.log_softmax(weight), mean, soft_clip(log_variance, limit)

    def log_prob(x, raw):
        log_weight, mean, log_variance = parts(raw)
        x = jnp.broadcast_to(x[..., None].astype(mean.dtype), mean.shape)
        return logsumexp(log_weight + normal.log_prob(x, mean, log_variance), axis=-1)

    def sample(raw, key):
        which_key, eps_key = jax.random.split(key)
        log_weight, mean, log_variance = parts(raw)
        k = gumbel_max(log_weight, which_key)[..., None]
        mean, log_variance = (
            jnp.take_along_axis(a, k, axis=-1)[..., 0] for a in (mean, log_variance)
        )
        eps = jax.random.normal(eps_key, mean.shape, mean.dtype)
        return normal.reparameterize(mean, log_variance, eps)

    return Conditional(3 * n, 1, lambda x: widen(x)[..., None], log_prob, sample)
