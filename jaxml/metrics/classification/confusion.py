# SPDX-License-Identifier: Apache-2.0
"""Counts of right and wrong predictions, which add up over batches and devices.

Streaming: `merge` two counts, `jax.lax.psum` them over devices, or carry them through a scan, and
divide once at the end. Counts are int32, exact to 2³¹ examples.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Integer, PyTree

Counts = TypeVar("Counts", bound=PyTree)


class Outcomes(NamedTuple):
    """Of each class against all others, how often which outcome occurred."""

    true_positive: Int[Array, "*classes"]
    false_positive: Int[Array, "*classes"]
    false_negative: Int[Array, "*classes"]
    true_negative: Int[Array, "*classes"]


def confusion_matrix(
    labels: Integer[Array, "*batch"], predictions: Integer[Array, "*batch"], n_classes: int
) -> Int[Array, "n_classes n_classes"]:
    """C[i, j], the number of examples of class i that were taken for class j.

    Args:
      labels: i. Examples of no class 0, ..., n_classes − 1 are not counted: −1 marks padding.
      predictions: j, always one of the classes: others are not counted either.
      n_classes: the number of rows and columns.
    """
    i, j = labels.ravel(), predictions.ravel()
    inside = (i >= 0) & (i < n_classes) & (j >= 0) & (j < n_classes)
    cell = jnp.where(inside, i.astype(jnp.int32) * n_classes + j.astype(jnp.int32), n_classes**2)
    counts = jnp.zeros(n_classes**2, jnp.int32).at[cell].add(1, mode="drop")
    return counts.reshape(n_classes, n_classes)


def one_against_rest(matrix: Int[Array, "n_classes n_classes"]) -> Outcomes:
    """TP_k = C[k, k], FP_k = Σ_i C[i, k] − TP_k, FN_k = Σ_j C[k, j] − TP_k, TN_k = the others.

    Args:
      matrix: the confusion matrix C.
    """
    right = jnp.diagonal(matrix)
    false_positive = jnp.sum(matrix, axis=0, dtype=matrix.dtype) - right
    false_negative = jnp.sum(matrix, axis=1, dtype=matrix.dtype) - right
    rest = jnp.sum(matrix, dtype=matrix.dtype) - right - false_positive - false_negative
    return Outcomes(right, false_positive, false_negative, rest)


def outcomes(labels: Bool[Array, "n *classes"], predictions: Bool[Array, "n *classes"]) -> Outcomes:
    """TP = Σ y ŷ, FP = Σ (1 − y) ŷ, FN = Σ y (1 − ŷ), TN = Σ (1 − y)(1 − ŷ), over the first axis.

    Args:
      labels: y, one column for each class; several may be true, or none.
      predictions: ŷ.
    """

    def count(event):
        return jnp.sum(event, axis=0, dtype=jnp.int32)

    return Outcomes(
        count(labels & predictions),
        count(~labels & predictions),
        count(labels & ~predictions),
        count(~labels & ~predictions),
    )


def merge(a: Counts, b: Counts) -> Counts:
    """Counts of a and b together: a + b, leaf by leaf."""
    return jax.tree.map(jnp.add, a, b)
