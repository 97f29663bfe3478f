# SPDX-License-Identifier: Apache-2.0
"""Mixtures of Gaussians, p(x) = Σ_k w_k N(x; μ_k, Σ_k), and a step of expectation maximization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.gaussian_mixture.covariance import Covariance, Kind, Means, Points, Shares
from jaxml.types import Key, Scalar


class Mixture(NamedTuple):
    """The parameters of a mixture.

    Attributes:
      log_weight: log w.
      mean: μ.
      covariance: of the shape that its kind has.
    """

    log_weight: Float[Array, "k"]
    mean: Means
    covariance: Covariance


def log_joint(mixture: Mixture, x: Points, kind: Kind) -> Shares:
    """log w_k + log N(x_i; μ_k, Σ_k), in nats.

    Args:
      mixture: the parameters.
      x: points.
      kind: of the covariances.
    """
    return mixture.log_weight[None] + kind.log_prob(x, mixture.mean, mixture.covariance)


def log_prob(mixture: Mixture, x: Points, kind: Kind) -> Float[Array, "n"]:
    """log p(x_i), in nats.

    Args:
      mixture: the parameters.
      x: points.
      kind: of the covariances.
    """
    return jax.nn.logsumexp(log_joint(mixture, x, kind), axis=1)


def responsibilities(mixture: Mixture, x: Points, kind: Kind) -> Shares:
    """r_ik = P(k | x_i) = w_k N(x_i; μ_k, Σ_k) / p(x_i).

    Args:
      mixture: the parameters.
      x: points.
      kind: of the covariances.
    """
    return jax.nn.softmax(log_joint(mixture, x, kind), axis=1)


def sample(mixture: Mixture, key: Key, n: int, kind: Kind) -> Float[Array, "{n} d"]:
    """A component from w, and a point from it, n times.

    Args:
      mixture: the parameters.
      key: for the draws.
      n: how many.
      kind: of the covariances.
    """
    which_key, noise_key = jax.random.split(key)
    which = jax.random.categorical(which_key, mixture.log_weight, shape=(n,))
    return placed(mixture.mean, mixture.covariance, which, noise_key, kind)


def placed(
    mean: Means, covariance: Covariance, which: Integer[Array, "n"], key: Key, kind: Kind
) -> Float[Array, "n d"]:
    """x_i ~ N(μ_k, Σ_k), k = which_i.

    Args:
      mean: μ.
      covariance: Σ, of the shape that its kind has.
      which: a component for every draw.
      key: for the draws.
      kind: of the covariances.
    """
    eps = jax.random.normal(key, (len(which), mean.shape[1]), mean.dtype)

    def one(k: Array, eps: Array) -> Array:
        return (mean + kind.spread(covariance, jnp.broadcast_to(eps, mean.shape)))[k]

    return jax.vmap(one)(which, eps)


def maximized(x: Points, shares: Shares, mean: Means, kind: Kind, *, floor: float) -> Mixture:
    """The M step: the best weights, means and covariances for given shares of every point.

    Args:
      x: points.
      shares: r, rows that sum to 1.
      mean: what a component without any share keeps; its weight is 0 and stays so.
      kind: of the covariances.
      floor: least variance in any direction.

    Reference: Bishop 2006, equations 9.17, 9.19 and 9.22.
    """
    total = shares.sum(0)
    present = total > jnp.finfo(x.dtype).tiny
    safe = jnp.where(present, total, 1)
    # Moved to the data's center, where sums of products lose fewer digits.
    center = x.mean(0)
    found = shares.T @ (x - center[None]) / safe[:, None] + center[None]
    mean = jnp.where(present[:, None], found, mean)
    covariance = kind.estimate(x, shares, safe, mean, floor)
    return Mixture(jnp.log(total / total.sum()), mean, covariance)


def em_step(mixture: Mixture, x: Points, kind: Kind, *, floor: float) -> tuple[Mixture, Scalar]:
    """One step of expectation maximization, and the mean of log p(x) before it, in nats.

    The mean of log p(x) never falls from step to step.

    Args:
      mixture: the parameters.
      x: all points.
      kind: of the covariances.
      floor: least variance in any direction.

    Reference: Dempster, Laird and Rubin 1977; Bishop 2006, section 9.2.2.
    """
    joint = log_joint(mixture, x, kind)
    total = jax.nn.logsumexp(joint, axis=1)
    shares = jnp.exp(joint - total[:, None])
    return maximized(x, shares, mixture.mean, kind, floor=floor), total.mean()
