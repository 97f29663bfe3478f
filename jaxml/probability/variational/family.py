# SPDX-License-Identifier: Apache-2.0
"""Families q of independent coordinates, from which one can draw and whose densities are known."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxml.probability import bernoulli, normal
from jaxml.types import Key, Scalar


class Family(NamedTuple):
    """What draws and scores need of a family; its parameters q are a pytree.

    Attributes:
      sample: `(q, key, n) -> z`, n draws along the first axis.
      log_prob: `(q, z) -> log q(z)` of one draw, in nats.
    """

    sample: Callable[[Any, Key, int], Array]
    log_prob: Callable[[Any, Array], Scalar]


class MeanField(NamedTuple):
    """N(m, diag e^ℓ) over vectors without constraints.

    Attributes:
      mean: m.
      log_variance: ℓ.
    """

    mean: Float[Array, "d"]
    log_variance: Float[Array, "d"]


def place(q: MeanField, eps: Float[Array, "d"]) -> Float[Array, "d"]:
    """z = m + e^(ℓ/2) ε.

    Args:
      q: the parameters.
      eps: a draw of N(0, I).
    """
    return normal.reparameterize(q.mean, q.log_variance, eps)


def _sample_normal(q: MeanField, key: Key, n: int) -> Float[Array, "{n} d"]:
    eps = jax.random.normal(key, (n, *q.mean.shape), q.mean.dtype)
    return jax.vmap(place, (None, 0))(q, eps)


def _log_prob_normal(q: MeanField, z: Float[Array, "d"]) -> Scalar:
    return jnp.sum(normal.log_prob(z, q.mean, q.log_variance))


def _sample_bits(logits: Float[Array, "d"], key: Key, n: int) -> Bool[Array, "{n} d"]:
    return bernoulli.sample(jnp.broadcast_to(logits[None], (n, *logits.shape)), key)


def _log_prob_bits(logits: Float[Array, "d"], z: Bool[Array, "d"]) -> Scalar:
    return jnp.sum(bernoulli.log_prob(z.astype(logits.dtype), logits))


def _sample_classes(logits: Float[Array, "d k"], key: Key, n: int) -> Integer[Array, "{n} d"]:
    return jax.random.categorical(key, logits, axis=-1, shape=(n, len(logits)))


def _log_prob_classes(logits: Float[Array, "d k"], z: Integer[Array, "d"]) -> Scalar:
    log_p = jax.nn.log_softmax(logits, axis=-1)
    return jnp.sum(jnp.take_along_axis(log_p, z[:, None], axis=-1))


NORMAL = Family(_sample_normal, _log_prob_normal)
"""Vectors, q a `MeanField`."""
BERNOULLI = Family(_sample_bits, _log_prob_bits)
"""Vectors of booleans, q their logits."""
CATEGORICAL = Family(_sample_classes, _log_prob_classes)
"""Vectors of classes, q a row of logits for each; −inf excludes a class."""
