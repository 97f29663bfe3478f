# SPDX-License-Identifier: Apache-2.0
"""The n levels −1, −1 + 2/(n − 1), …, 1 on which whole numbers lie."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def nearest_level(x: Float[Array, "*shape"], n_levels: int) -> Float[Array, "*shape"]:
    """The level nearest to x; an outer one for what lies beyond.

    Args:
      x: real numbers.
      n_levels: n.
    """
    steps = jnp.round((x + 1) * (n_levels - 1) / 2)
    return jnp.clip(steps, 0, n_levels - 1) * 2 / (n_levels - 1) - 1
