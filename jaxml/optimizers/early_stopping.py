# SPDX-License-Identifier: Apache-2.0
"""When to stop: a state machine that counts looks without progress."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxml.types import Array, Scalar


class Patience(NamedTuple):
    """What has been seen of a validation loss.

    Attributes:
      best: the least value so far, beginning at the largest finite number.
      at: which look brought it; −1 before any.
      looks: how many there were.
      since: looks since the best.
    """

    best: Float[Array, ""]
    at: Int[Array, ""]
    looks: Int[Array, ""]
    since: Int[Array, ""]


def start() -> Patience:
    """Nothing seen yet."""
    dtype = jnp.zeros(()).dtype
    # Finite, because a checkpoint holds no infinity.
    best = jnp.full((), jnp.finfo(dtype).max, dtype)
    return Patience(best, *(jnp.full((), n, jnp.int32) for n in (-1, 0, 0)))


def look(patience: Patience, value: Scalar, *, least: float = 0.0) -> Patience:
    """Count one look at the validation loss; NaN is never progress.

    Args:
      patience: before.
      value: of the loss, smaller is better; not the training loss, which falls anyway.
      least: by how much it must fall below the best to count as progress.
    """
    better = value < patience.best - least
    looks = patience.looks + 1
    return Patience(
        jnp.where(better, value, patience.best).astype(patience.best.dtype),
        jnp.where(better, patience.looks, patience.at),
        looks,
        jnp.where(better, 0, patience.since + 1),
    )


def spent(patience: Patience, n: int) -> Bool[Array, ""]:
    """Whether n looks in a row brought no progress."""
    return patience.since >= n
