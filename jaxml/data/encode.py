# SPDX-License-Identifier: Apache-2.0
"""From raw columns to what a model takes: one-hot labels, filled gaps, standardized values."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def one_hot(label: Int[Array, "*shape"], n_classes: int) -> Float[Array, "*shape classes"]:
    """e_y: one column per class, also for two classes, and all zeros for a label out of range.

    scikit-learn's `LabelBinarizer` gives a single column for two classes, which then broadcasts
    against two logits without an error; there is no such exception here.

    Raises:
      ValueError: If there are fewer than two classes.
    """
    if n_classes < 2:
        raise ValueError(f"n_classes: expected at least 2, got {n_classes}")
    classes = jnp.arange(n_classes, dtype=label.dtype)
    return (label[..., None] == classes.reshape((1,) * label.ndim + (-1,))).astype(float)


class Statistics(NamedTuple):
    """Column means and standard deviations, of the training set alone.

    Attributes:
      mean: Over the observed values of each column.
      scale: The standard deviation (divisor n); 1 where a column is constant or never observed.
    """

    mean: Float[Array, " d"]
    scale: Float[Array, " d"]


def fit(train: Float[Array, "n d"], observed: Bool[Array, "n d"] | None = None) -> Statistics:
    """μ_j = Σ_i m_ij x_ij / Σ_i m_ij and σ_j likewise, over the observed values.

    Args:
      train: The training rows. Statistics of anything else leak into the evaluation.
      observed: The mask m; without it, whatever is not NaN.
    """
    mask = observed_mask(train) if observed is None else observed
    count = jnp.maximum(mask.sum(axis=0), 1).astype(train.dtype)
    mean = jnp.where(mask, train, 0).sum(axis=0) / count
    deviation = jnp.where(mask, train - mean[None], 0)
    variance = (deviation**2).sum(axis=0) / count
    return Statistics(mean, jnp.where(variance > 0, jnp.sqrt(variance), 1))


def observed_mask(x: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """m = 1 where a value is present: NaN stands for a missing one."""
    return ~jnp.isnan(x)


def impute(
    x: Float[Array, "n d"], statistics: Statistics, observed: Bool[Array, "n d"] | None = None
) -> Float[Array, "n d"]:
    """x where observed, the training mean elsewhere."""
    mask = observed_mask(x) if observed is None else observed
    return jnp.where(mask, x, statistics.mean[None])


def standardize(x: Float[Array, "n d"], statistics: Statistics) -> Float[Array, "n d"]:
    """z = (x - μ) / σ. A density of x is that of z times 1/Πσ: log p(x) = log p(z) - Σ log σ."""
    return (x - statistics.mean[None]) / statistics.scale[None]


def unstandardize(z: Float[Array, "n d"], statistics: Statistics) -> Float[Array, "n d"]:
    """x = μ + σ z."""
    return statistics.mean[None] + statistics.scale[None] * z


__all__ = [
    "Statistics",
    "fit",
    "impute",
    "observed_mask",
    "one_hot",
    "standardize",
    "unstandardize",
]
