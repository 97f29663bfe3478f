# SPDX-License-Identifier: Apache-2.0
"""Means over examples: log loss and top-k accuracy, and a mean that is merged by addition."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer, Shaped

from jaxml.numerics import widen
from jaxml.types import Scalar


class Mean(NamedTuple):
    """A sum and the number of its terms; several batches are merged by addition."""

    total: Float[Array, ""]
    n: Int[Array, ""]


def mean(values: Shaped[Array, "*batch"], *, where: Bool[Array, "*batch"] | None = None) -> Mean:
    """Σ v and n, over the examples that `where` keeps.

    Args:
      values: one number for each example, or whether it is right.
      where: examples to count; the others may hold anything, NaN included.
    """
    values = widen(values)
    kept = jnp.ones(values.shape, bool) if where is None else where
    return Mean(jnp.sum(jnp.where(kept, values, 0)), jnp.sum(kept, dtype=jnp.int32))


def value_of(mean: Mean, *, zero_division: float = jnp.nan) -> Scalar:
    """Σ v / n.

    Args:
      mean: sum and number.
      zero_division: the value of 0/0, of no examples.
    """
    n = mean.n.astype(mean.total.dtype)
    return jnp.where(n == 0, zero_division, mean.total / jnp.maximum(n, 1))


def log_loss(
    labels: Integer[Array, "*batch"], probabilities: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """−log p_y in nats, one for each example.

    Infinite where p_y = 0, which others replace by a number of their choice; NaN where the label
    names no class. While training, take the cross entropy of logits instead, which never rounds
    a probability to 0.

    Args:
      labels: y, the number of the right class.
      probabilities: p, summing to 1.
    """
    p = widen(probabilities)
    right = jax.nn.one_hot(labels, p.shape[-1], dtype=bool)
    cost = -jnp.log(jnp.sum(jnp.where(right, p, 0), axis=-1))
    return jnp.where(jnp.any(right, axis=-1), cost, jnp.nan)


def top_k(
    labels: Integer[Array, "*batch"], scores: Float[Array, "*batch n_classes"], *, k: int
) -> Bool[Array, "*batch"]:
    """Whether the score of the right class is among the k highest, one for each example.

    Of equal scores the last class comes first, as in scikit-learn: a constant score is no success
    for every class. False where a score is NaN or the label names no class.

    Args:
      labels: y, the number of the right class.
      scores: one for each class.
      k: how many classes may be named.

    Raises:
      ValueError: if k is not from 1 to the number of classes.
    """
    n_classes = scores.shape[-1]
    if not 1 <= k <= n_classes:
        raise ValueError(f"k: expected a number from 1 to {n_classes}, got {k}")
    right = jax.nn.one_hot(labels, n_classes, dtype=bool)
    own = jnp.sum(jnp.where(right, scores, 0), axis=-1, keepdims=True)
    later = (jnp.cumsum(right, axis=-1) > 0) & ~right
    before = (scores > own) | ((scores == own) & later)
    known = jnp.any(right, axis=-1) & ~jnp.any(jnp.isnan(scores), axis=-1)
    return known & (jnp.sum(before, axis=-1) < k)
