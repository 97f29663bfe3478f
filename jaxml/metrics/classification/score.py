# SPDX-License-Identifier: Apache-2.0
"""Accuracy, precision, recall, specificity and F-score of counted outcomes, and their averages.

A class that never occurs, or is never predicted, gives 0/0. What it is worth then is an argument:
`zero_division`, NaN unless given, 0 or 1 by other conventions. Averages leave NaN out.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from jaxml.metrics.classification.confusion import Outcomes
from jaxml.types import Scalar


def accuracy(
    matrix: Int[Array, "n_classes n_classes"], *, zero_division: float = jnp.nan
) -> Scalar:
    """Σ_k C[k, k] / Σ_ij C[i, j], the part of the examples that were classified right.

    Args:
      matrix: the confusion matrix C.
      zero_division: the value of 0/0, of no examples.
    """
    return _ratio(jnp.trace(matrix), jnp.sum(matrix), zero_division)


def precision(counts: Outcomes, *, zero_division: float = jnp.nan) -> Float[Array, "*classes"]:
    """TP/(TP + FP), the part of the predicted that is right.

    Args:
      counts: outcomes of each class, or of all together.
      zero_division: the value of 0/0, of a class that was never predicted.
    """
    right = counts.true_positive
    return _ratio(right, right + counts.false_positive, zero_division)


def recall(counts: Outcomes, *, zero_division: float = jnp.nan) -> Float[Array, "*classes"]:
    """TP/(TP + FN), the part of the class that is found; the sensitivity.

    Args:
      counts: outcomes of each class, or of all together.
      zero_division: the value of 0/0, of a class without examples.
    """
    right = counts.true_positive
    return _ratio(right, right + counts.false_negative, zero_division)


def specificity(counts: Outcomes, *, zero_division: float = jnp.nan) -> Float[Array, "*classes"]:
    """TN/(TN + FP), the part of the other classes that is left alone.

    Args:
      counts: outcomes of each class, or of all together.
      zero_division: the value of 0/0, of a class that all examples belong to.
    """
    right = counts.true_negative
    return _ratio(right, right + counts.false_positive, zero_division)


def f_score(
    counts: Outcomes, *, beta: float = 1.0, zero_division: float = jnp.nan
) -> Float[Array, "*classes"]:
    """F_β = (β² + 1)PR/(β²P + R) = (1 + β²)TP/((1 + β²)TP + β²FN + FP).

    The form in counts is defined wherever the class occurs or is predicted, also where P or R is
    not; some write α for β.

    Args:
      counts: outcomes of each class, or of all together.
      beta: β ≥ 0, how many times as important recall is as precision.
      zero_division: the value of 0/0, of a class that neither occurs nor is predicted.

    Raises:
      ValueError: if β is negative.

    Reference: van Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    if not beta >= 0:
        raise ValueError(f"beta: expected a number that is not negative, got {beta}")
    right = (1 + beta**2) * counts.true_positive.astype(float)
    missed = beta**2 * counts.false_negative.astype(float)
    wrong = missed + counts.false_positive.astype(float)
    return _ratio(right, right + wrong, zero_division)


def micro(counts: Outcomes) -> Outcomes:
    """The outcomes of all classes together: the score of a sum rather than a mean of scores."""
    return jax.tree.map(lambda count: jnp.sum(count, axis=-1, dtype=count.dtype), counts)


def macro(scores: Float[Array, "*batch n_classes"]) -> Float[Array, "*batch"]:
    """(1/K) Σ_k s_k over the classes whose score is a number; of recalls, balanced accuracy."""
    return _average(scores, jnp.ones_like(scores))


def weighted(scores: Float[Array, "*batch n_classes"], counts: Outcomes) -> Float[Array, "*batch"]:
    """Σ_k n_k s_k / Σ_k n_k, n_k the examples of class k, over the classes whose score is a number.

    Args:
      scores: s, one for each class.
      counts: the outcomes that the scores were made of.
    """
    support = counts.true_positive + counts.false_negative
    return _average(scores, support.astype(scores.dtype))


def _average(
    scores: Float[Array, "*batch n_classes"], weights: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    known = ~jnp.isnan(scores)
    total = jnp.sum(jnp.where(known, weights * scores, 0), axis=-1)
    return total / jnp.sum(jnp.where(known, weights, 0), axis=-1)


def _ratio(
    part: Real[Array, "*classes"], whole: Real[Array, "*classes"], zero_division: float
) -> Float[Array, "*classes"]:
    part, whole = part.astype(float), whole.astype(float)
    empty = whole == 0
    return jnp.where(empty, zero_division, part / jnp.where(empty, 1, whole))
