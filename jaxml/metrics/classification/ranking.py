# SPDX-License-Identifier: Apache-2.0
"""How well scores put the positive examples before the negative ones: ROC area, average precision.

Exact from all scores, or streaming from counts at fixed thresholds: those are exact for scores
rounded down to the thresholds.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxml.types import Scalar


class ScoreCounts(NamedTuple):
    """How many examples of either kind scored in each bin, from the lowest scores to the highest.

    Counts of several batches are merged by addition.
    """

    positive: Int[Array, "n_bins"]
    negative: Int[Array, "n_bins"]


def score_counts(
    labels: Bool[Array, "*batch"],
    scores: Float[Array, "*batch"],
    thresholds: Float[Array, "n_thresholds"],
) -> ScoreCounts:
    """The numbers of scores s with t_i ≤ s < t_{i+1}: one bin more than there are thresholds.

    Args:
      labels: whether an example is positive.
      scores: s, numbers; the higher, the likelier positive. NaN counts as the highest.
      thresholds: t, rising.
    """
    positive = labels.ravel()
    bins = jnp.searchsorted(thresholds, scores.ravel(), side="right")
    empty = jnp.zeros(thresholds.size + 1, jnp.int32)
    return ScoreCounts(
        empty.at[bins].add(positive.astype(jnp.int32)),
        empty.at[bins].add((~positive).astype(jnp.int32)),
    )


def roc_auc_of_counts(counts: ScoreCounts, *, zero_division: float = jnp.nan) -> Scalar:
    """P(s⁺ > s⁻) + ½P(s⁺ = s⁻) = Σ_i P_i (Σ_{j<i} N_j + ½N_i) / (P N): the area under the curve.

    Args:
      counts: P_i and N_i, how many positive and negative examples share score i.
      zero_division: the value where one kind is missing.

    Reference: Hanley and McNeil 1982, The meaning and use of the area under a receiver operating
    characteristic curve, table II.
    """
    up_to = jnp.cumsum(counts.negative)  # of integers: a float32 would stop at 2²⁴
    share = counts.negative.astype(float)
    wins = up_to.astype(float) - 0.5 * share
    positive, negative = (jnp.sum(count).astype(float) for count in counts)
    mean_wins = jnp.sum(counts.positive.astype(float) * wins / jnp.maximum(negative, 1))
    defined = (positive > 0) & (negative > 0)
    return jnp.where(defined, mean_wins / jnp.maximum(positive, 1), zero_division)


def average_precision_of_counts(counts: ScoreCounts, *, zero_division: float = jnp.nan) -> Scalar:
    """Σ_i (R_i − R_{i+1}) P_i, with recall and precision of the examples that score at least i.

    A step function of the recall; the trapezoidal area would be too large.

    Args:
      counts: how many positive and negative examples share score i.
      zero_division: the value where no example is positive.
    """
    right = jnp.cumsum(counts.positive[::-1])[::-1]
    found = right + jnp.cumsum(counts.negative[::-1])[::-1]
    precision = right.astype(float) / jnp.maximum(found, 1).astype(float)
    positive = jnp.sum(counts.positive).astype(float)
    mean_precision = jnp.sum(counts.positive.astype(float) * precision) / jnp.maximum(positive, 1)
    return jnp.where(positive > 0, mean_precision, zero_division)


def roc_auc(
    labels: Bool[Array, "n"], scores: Float[Array, "n"], *, zero_division: float = jnp.nan
) -> Scalar:
    """P(s⁺ > s⁻) + ½P(s⁺ = s⁻) over all pairs of a positive and a negative example.

    Args:
      labels: whether an example is positive.
      scores: s; the higher, the likelier positive. NaN gives NaN.
      zero_division: the value where one kind is missing.
    """
    value = roc_auc_of_counts(_every_score(labels, scores), zero_division=zero_division)
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, value)


def average_precision(
    labels: Bool[Array, "n"], scores: Float[Array, "n"], *, zero_division: float = jnp.nan
) -> Scalar:
    """Σ_i (R_i − R_{i+1}) P_i over the distinct scores, equal ones taken together.

    Args:
      labels: whether an example is positive.
      scores: s; the higher, the likelier positive. NaN gives NaN.
      zero_division: the value where no example is positive.
    """
    value = average_precision_of_counts(_every_score(labels, scores), zero_division=zero_division)
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, value)


def _every_score(labels: Bool[Array, "n"], scores: Float[Array, "n"]) -> ScoreCounts:
    """A bin for each distinct score: the place of the first of its equals, the others empty."""
    place = jnp.searchsorted(jnp.sort(scores), scores, side="left")
    empty = jnp.zeros(scores.size, jnp.int32)
    return ScoreCounts(
        empty.at[place].add(labels.astype(jnp.int32)),
        empty.at[place].add((~labels).astype(jnp.int32)),
    )
