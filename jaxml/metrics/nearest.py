# SPDX-License-Identifier: Apache-2.0
"""The nearest training example of a draw, and whether it is nearer than chance makes it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxml.numerics import widen


class Nearest(NamedTuple):
    """The nearest reference of each row.

    Attributes:
      which: its number among the references.
      distance: mean absolute difference to it.
    """

    which: Int[Array, "n"]
    distance: Float[Array, "n"]


def nearest(
    x: Shaped[Array, "n *event"], references: Shaped[Array, "m *other"], *, rows: int = 64
) -> Nearest:
    """min_j (1/D) Σ_i |x_i − r_ji|: the mean absolute difference, not a norm.

    Args:
      x: draws.
      references: such as the training images.
      rows: draws at once, which bounds the memory at rows · m · D numbers.

    Raises:
      ValueError: if the events differ in shape, or there is nothing to compare with.

    Reference: Foster 2023, Generative Deep Learning, second edition.
    """
    if x.shape[1:] != references.shape[1:] or not len(references):
        raise ValueError(
            f"references: expected events of the shape {x.shape[1:]}, got {references.shape}"
        )
    x, references = widen(x), widen(references)
    others = references.reshape(len(references), -1)

    def one(row: Array) -> Nearest:
        distance = jnp.mean(jnp.abs(row[None] - others), axis=1)
        index = jnp.argmin(distance)
        return Nearest(index, distance[index])

    return jax.lax.map(one, x.reshape(len(x), -1), batch_size=rows)


def memorized(
    draws: Nearest, held_out: Nearest, *, quantile: float = 0.001
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """How many draws are nearer to a training example than almost all held-out examples are.

    Held-out data show how near two examples come by themselves: a draw below their quantile q is
    counted. By chance n q draws are, so that a count matters where it is well above that.

    Args:
      draws: nearest training examples of draws.
      held_out: those of data that were not trained on.
      quantile: q.

    Returns:
      The count, and the distance below which a draw is counted.

    Raises:
      ValueError: unless q is between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"quantile: expected a number between 0 and 1, got {quantile}")
    limit = jnp.quantile(held_out.distance, quantile)
    return jnp.sum(draws.distance < limit), limit
