# SPDX-License-Identifier: Apache-2.0
"""What the covariances of k components may be: any, the same for all, axis by axis, or round.

Every kind has its own maximum of Σ_i r_ik log N(x_i; μ_k, Σ_k) under the constraint that no
variance in any direction is below a floor: the eigenvalues of the weighted covariance are raised to
it. So expectation maximization climbs with a floor as without.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.normal import LOG_2PI

Points = Float[Array, "n d"]
Shares = Float[Array, "n k"]
Means = Float[Array, "k d"]
Covariance = Float[Array, "..."]


class Kind(NamedTuple):
    """A family of covariances.

    Attributes:
      log_prob: `(x, mean, covariance) -> (n, k)`, log N(x_i; μ_k, Σ_k) in nats.
      estimate: `(x, shares, total, mean, floor) -> covariance`, the best for the shares r, whose
        sums over points are `total`.
      spread: `(covariance, eps) -> (k, d)`, a vector with covariance Σ_k from ε ~ N(0, I) of each.
      n_free: `(k, d) -> int`, how many numbers are free.
    """

    log_prob: Callable[[Points, Means, Covariance], Shares]
    estimate: Callable[[Points, Shares, Array, Means, float], Covariance]
    spread: Callable[[Covariance, Array], Array]
    n_free: Callable[[int, int], int]


def _log_prob_of_one(x: Points, mean: Array, covariance: Array) -> Array:
    factor = jnp.linalg.cholesky(covariance)
    eye = jnp.eye(len(mean), dtype=x.dtype)
    white = jax.scipy.linalg.solve_triangular(factor, eye, lower=True).T
    # (x − μ)W rather than a solve for every point: one product of matrices.
    square = jnp.sum(jnp.square((x - mean[None]) @ white), axis=1)
    log_det = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -0.5 * (square + len(mean) * LOG_2PI) - log_det


def _log_prob_full(x: Points, mean: Means, covariance: Covariance) -> Shares:
    # One component after the other: k copies of the data at once would not stay in the cache.
    return jax.lax.map(lambda each: _log_prob_of_one(x, *each), (mean, covariance)).T


def _log_prob_tied(x: Points, mean: Means, covariance: Covariance) -> Shares:
    return jax.lax.map(lambda m: _log_prob_of_one(x, m, covariance), mean).T


def _log_prob_axes(x: Points, mean: Means, variance: Covariance) -> Shares:
    def one(each: tuple[Array, Array]) -> Array:
        m, v = each
        # Not expanded: far from all of the others a narrow component would keep no digit.
        square = jnp.square(x - m[None]) @ (1 / v)
        return -0.5 * (square + len(m) * LOG_2PI + jnp.sum(jnp.log(v)))

    return jax.lax.map(one, (mean, variance)).T


def _log_prob_round(x: Points, mean: Means, variance: Covariance) -> Shares:
    return _log_prob_axes(x, mean, jnp.broadcast_to(variance[:, None], mean.shape))


def _raised(covariance: Array, floor: float) -> Array:
    values, vectors = jnp.linalg.eigh(covariance)
    raised = jnp.maximum(values, floor)
    whole = (vectors * raised[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)
    return jnp.where((values >= floor).all(-1)[..., None, None], covariance, whole)


def _scatter(x: Points, shares: Shares, mean: Means) -> Array:
    def one(each: tuple[Array, Array]) -> Array:
        share, m = each
        gap = x - m[None]
        return (gap * share[:, None]).T @ gap

    return jax.lax.map(one, (shares.T, mean))


def _estimate_full(x: Points, shares: Shares, total: Array, mean: Means, floor: float) -> Array:
    return _raised(_scatter(x, shares, mean) / total[:, None, None], floor)


def _estimate_tied(x: Points, shares: Shares, total: Array, mean: Means, floor: float) -> Array:
    return _raised(_scatter(x, shares, mean).sum(0) / total.sum(), floor)


def _variances(x: Points, shares: Shares, total: Array, mean: Means) -> Array:
    def one(each: tuple[Array, Array]) -> Array:
        share, m = each
        return share @ jnp.square(x - m[None])

    return jax.lax.map(one, (shares.T, mean)) / total[:, None]


def _estimate_axes(x: Points, shares: Shares, total: Array, mean: Means, floor: float) -> Array:
    return jnp.maximum(_variances(x, shares, total, mean), floor)


def _estimate_round(x: Points, shares: Shares, total: Array, mean: Means, floor: float) -> Array:
    return jnp.maximum(_variances(x, shares, total, mean).mean(1), floor)


def _spread_full(covariance: Covariance, eps: Array) -> Array:
    return jnp.einsum("kij,kj->ki", jnp.linalg.cholesky(covariance), eps)


def _spread_tied(covariance: Covariance, eps: Array) -> Array:
    return eps @ jnp.linalg.cholesky(covariance).T


def _spread_axes(variance: Covariance, eps: Array) -> Array:
    return jnp.sqrt(variance) * eps


FULL = Kind(_log_prob_full, _estimate_full, _spread_full, lambda k, d: k * d * (d + 1) // 2)
"""Any covariance for each component, `(k, d, d)`."""
TIED = Kind(_log_prob_tied, _estimate_tied, _spread_tied, lambda k, d: d * (d + 1) // 2)
"""One covariance for all components, `(d, d)`."""
DIAGONAL = Kind(_log_prob_axes, _estimate_axes, _spread_axes, lambda k, d: k * d)
"""Variances of each component along the axes, `(k, d)`."""
SPHERICAL = Kind(
    _log_prob_round,
    _estimate_round,
    lambda variance, eps: _spread_axes(variance[:, None], eps),
    lambda k, d: k,
)
"""One variance for each component, `(k,)`."""
