# SPDX-License-Identifier: Apache-2.0
"""The categorical distribution p = softmax(a) over classes along the last axis; in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.divergence import cross_entropy_from_logits, log_softmax
from jaxml.types import Key

Logits = Float[Array, "*batch n_classes"]


def log_prob(x: Integer[Array, "*batch"], logits: Logits) -> Float[Array, "*batch"]:
    """log P(x) = a_x − log Σ e^a; NaN for a class that there is not.

    Args:
      x: classes, from 0.
      logits: a; −inf excludes a class.
    """
    log_p = log_softmax(logits)
    place = jnp.where((x >= 0) & (x < logits.shape[-1]), x, 0)
    found = jnp.take_along_axis(log_p, place[..., None], axis=-1)[..., 0]
    return jnp.where(place == x, found, jnp.nan)


def sample(logits: Logits, key: Key) -> Integer[Array, "*batch"]:
    """A class from each row.

    Args:
      logits: a.
      key: of the draws.
    """
    return jax.random.categorical(key, logits, axis=-1)


def entropy(logits: Logits) -> Float[Array, "*batch"]:
    """H = −Σ p log p, where what is excluded counts nothing and has slope 0.

    Args:
      logits: a.
    """
    return cross_entropy_from_logits(logits, logits)
