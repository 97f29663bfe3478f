# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance of two sets of feature vectors, each taken for a normal law; in NumPy.

Double precision throughout: differences of traces lose in single precision what they measure.
"""

from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean and covariance, in double precision."""

    mean: np.ndarray
    covariance: np.ndarray


def moments(features: Any) -> Moments:
    """Mean and unbiased covariance of rows.

    Args:
      features: `(n, d)`, n ≥ 2.

    Raises:
      ValueError: for less than two rows, or numbers that are not finite.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"features: expected 2 or more rows of finite numbers, got {x.shape}")
    centred = x - x.mean(0)
    return Moments(x.mean(0), centred.T @ centred / (len(x) - 1))


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m − m′|² + tr(S + S′ − 2 (S^½ S′ S^½)^½): the squared 2-Wasserstein distance of normal laws.

    With S = A Aᵀ and S′ = B Bᵀ the root's trace is the sum of the singular values of Aᵀ B. A
    matrix root of S S′, which is not symmetric, turns complex where S is singular. Of samples from
    one law the distance is positive and falls like 1/n: compare only equal numbers of them.

    Args:
      first: m and S.
      second: m′ and S′.

    Raises:
      ValueError: for moments of unequal sizes.

    Reference: Heusel et al. 2017, equation 6, arXiv:1706.08500; Dowson and Landau 1982,
    doi:10.1016/0047-259X(82)90077-X.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            f"second: expected the size of the first, {first.mean.shape}, got {second.mean.shape}"
        )
    overlap = np.linalg.svd(_root(first).T @ _root(second), compute_uv=False).sum()
    square = np.square(first.mean - second.mean).sum()
    return float(square + np.trace(first.covariance) + np.trace(second.covariance) - 2 * overlap)


def frechet_error(first: Any, second: Any, *, n_groups: int = 50) -> float:
    """√(v + v′): the standard error of a Fréchet distance, by the jackknife over groups of rows.

    v = (g − 1)/g · Σ_i (F_i − F̄)², F_i the distance without the i-th of g groups of the first set,
    and v′ likewise of the second. Both sets are draws: what is asked is how far the distance would
    be from this one if both were drawn anew. The bias, which is positive and like 1/n, is no part
    of it.

    Args:
      first: features, a row a draw.
      second: features.
      n_groups: g; every g-th row is in a group, so that the order of rows does not matter.

    Raises:
      ValueError: for less than two groups, or sets with less than two rows a group.

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, equation 11.5.
    """
    sets = [np.asarray(features, np.float64) for features in (first, second)]
    if n_groups < 2 or min(len(features) for features in sets) < 2 * n_groups:
        raise ValueError(
            f"n_groups: expected 2 or more with 2 rows each, got {n_groups} "
            f"for {len(sets[0])} and {len(sets[1])} rows"
        )
    whole = [moments(features) for features in sets]
    variance = 0.0
    for features, other in zip(sets, reversed(whole), strict=True):
        left_out = _without_each_group(features, n_groups)
        distances = np.array([frechet_distance(part, other) for part in left_out])
        variance += (n_groups - 1) * distances.var()
    return float(np.sqrt(variance))


def _without_each_group(features: np.ndarray, n_groups: int) -> list[Moments]:
    """Moments of all rows but every g-th: sums over everything less those over the group."""
    centre = features.mean(0)
    groups = [features[i::n_groups] - centre for i in range(n_groups)]
    sums, products = [g.sum(0) for g in groups], [g.T @ g for g in groups]
    total, product = np.sum(sums, axis=0), np.sum(products, axis=0)
    found = []
    for group, own, square in zip(groups, sums, products, strict=True):
        n = len(features) - len(group)
        mean = (total - own) / n
        covariance = (product - square - n * np.outer(mean, mean)) / (n - 1)
        found.append(Moments(centre + mean, covariance))
    return found


def _root(of: Moments) -> np.ndarray:
    """A with A Aᵀ = S; eigenvalues that are rounding errors are 0, since their roots are none."""
    values, vectors = np.linalg.eigh(of.covariance)
    least = len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    return vectors * np.sqrt(np.where(values > least, values, 0))
