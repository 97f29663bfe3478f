# SPDX-License-Identifier: Apache-2.0
"""Where expectation maximization begins: centers far from each other, and what belongs to them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.gaussian_mixture.covariance import Kind, Means, Points
from jaxml.probability.gaussian_mixture.mixture import Mixture, maximized
from jaxml.types import Key


def plus_plus(x: Points, key: Key, k: int) -> Float[Array, "{k} d"]:
    """k points of the data, each drawn with a chance ∝ its squared distance to those before.

    Args:
      x: points.
      key: for the draws.
      k: how many.

    Raises:
      ValueError: unless 1 ≤ k ≤ the number of points.

    Reference: Arthur and Vassilvitskii 2007, k-means++, section 2.2.
    """
    if not 1 <= k <= len(x):
        raise ValueError(f"k: expected 1 to {len(x)} centers, got {k}")

    def step(nearest: Array, i: Array) -> tuple[Array, Array]:
        place = jax.random.categorical(jax.random.fold_in(key, i), jnp.log(nearest))
        center = x[place]
        gap = jnp.sum(jnp.square(x - center[None]), axis=1)
        nearest = jnp.minimum(nearest, gap)
        # Of points that are all alike, any will do.
        return jnp.where(nearest.max() > 0, nearest, jnp.ones_like(nearest)), center

    first = jnp.full(len(x), jnp.finfo(x.dtype).max)
    _, centers = jax.lax.scan(step, first, jnp.arange(k))
    return centers


def nearest(x: Points, centers: Means) -> Integer[Array, "n"]:
    """The number of the nearest center of every point.

    Args:
      x: points.
      centers: k of them.
    """
    square = jnp.sum(jnp.square(centers), axis=1)[None] - 2 * (x @ centers.T)
    return jnp.argmin(square, axis=1)


def start(x: Points, key: Key, k: int, kind: Kind, *, floor: float, n_moves: int = 10) -> Mixture:
    """Centers by k-means++, moved n times to the mean of what is nearest; then an M step.

    Args:
      x: points.
      key: for the centers.
      k: components.
      kind: of the covariances.
      floor: least variance in any direction.
      n_moves: Lloyd's steps.

    Raises:
      ValueError: unless 1 ≤ k ≤ the number of points and the floor is positive.

    Reference: Lloyd 1982 for the moves.
    """
    if not floor > 0:
        raise ValueError(f"floor: expected a positive variance, got {floor}")

    def move(centers: Means, _: None) -> tuple[Means, None]:
        mine = jax.nn.one_hot(nearest(x, centers), k, dtype=x.dtype)
        total = mine.sum(0)[:, None]
        mean = mine.T @ x / jnp.maximum(total, 1)
        return jnp.where(total > 0, mean, centers), None

    centers, _ = jax.lax.scan(move, plus_plus(x, key, k), length=n_moves)
    shares = jax.nn.one_hot(nearest(x, centers), k, dtype=x.dtype)
    found = maximized(x, shares, centers, kind, floor=floor)
    # Nothing is excluded at first.
    weight = (jnp.exp(found.log_weight) + 1 / len(x)) / (1 + k / len(x))
    return found._replace(log_weight=jnp.log(weight))
