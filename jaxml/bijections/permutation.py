# SPDX-License-Identifier: Apache-2.0
"""Maps that only move numbers; their log-determinant is 0."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.bijections.bijection import Bijection


def permutation(order: Sequence[int]) -> Bijection:
    """y_i = x_order(i) along the last axis, or along the channels of an image.

    Args:
      order: a permutation of 0 … D − 1.

    Raises:
      ValueError: if it is none.
    """
    if sorted(order) != list(range(len(order))):
        raise ValueError(f"order: expected a permutation of 0 to {len(order) - 1}, got {order}")
    there, back = np.asarray(order), np.argsort(order)
    return Bijection(
        lambda x, params=(): (x[..., there], _zeros(x)),
        lambda y, params=(): (y[..., back], _zeros(y)),
        1,
    )


def reverse(
    x: Float[Array, "*batch d"], params: tuple[()] = ()
) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
    """y_i = x_(D−1−i), its own inverse."""
    del params
    return x[..., ::-1], _zeros(x)


def _zeros(x: Array) -> Array:
    return jnp.zeros(x.shape[:-1], x.dtype)
