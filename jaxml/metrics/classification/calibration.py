# SPDX-License-Identifier: Apache-2.0
"""Whether a probability of 0.8 is right in 8 cases of 10."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxml.numerics import widen
from jaxml.types import Scalar


class Reliability(NamedTuple):
    """The predictions in each of the bins of [0, 1] that their confidence fell into.

    Several batches are merged by addition.
    """

    total: Int[Array, "n_bins"]
    right: Int[Array, "n_bins"]
    confidence: Float[Array, "n_bins"]
    """The sum of the confidences."""


def reliability(
    right: Bool[Array, "*batch"], confidence: Float[Array, "*batch"], *, n_bins: int = 15
) -> Reliability:
    """For each of B bins ((b − 1)/B, b/B] the number of predictions, of right ones, and Σp.

    Args:
      right: whether a prediction was right.
      confidence: p in [0, 1], the probability that it was given; 0 belongs to the first bin.
      n_bins: B.

    Raises:
      ValueError: if there is no bin.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins: expected at least 1, got {n_bins}")
    p, right = widen(confidence).ravel(), right.ravel()
    edges = jnp.arange(1, n_bins, dtype=p.dtype) / n_bins
    bins = jnp.searchsorted(edges, p, side="left")
    empty = jnp.zeros(n_bins, jnp.int32)
    return Reliability(
        empty.at[bins].add(1),
        empty.at[bins].add(right.astype(jnp.int32)),
        jnp.zeros(n_bins, p.dtype).at[bins].add(p),
    )


def calibration_error(bins: Reliability, *, zero_division: float = jnp.nan) -> Scalar:
    """ECE = Σ_b (n_b/n) |accuracy_b − mean confidence_b| = Σ_b |right_b − Σp_b| / n.

    Args:
      bins: counted by `reliability`.
      zero_division: the value of no predictions.

    Reference: Guo et al. 2017, equation 3, arXiv:1706.04599.
    """
    dtype = bins.confidence.dtype
    n = jnp.sum(bins.total).astype(dtype)
    gap = jnp.sum(jnp.abs(bins.right.astype(dtype) - bins.confidence))
    return jnp.where(n == 0, zero_division, gap / jnp.maximum(n, 1))
