# SPDX-License-Identifier: Apache-2.0
"""Units left out at random, with the key in the arguments."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxml.types import Array, Key


def dropout(
    x: Float[Array, "*shape"], key: Key, rate: float, *, shared: Sequence[int] = ()
) -> Float[Array, "*shape"]:
    """y = x m/(1 − p) with m ~ Bernoulli(1 − p): inverted, so that E[y] = x and evaluation is x.

    Args:
      x: units.
      key: for this call alone.
      rate: p, the probability to be left out; 0 leaves x alone.
      shared: axes along which one draw serves all, such as the positions of an image.

    Raises:
      ValueError: if `rate` lies outside [0, 1).

    Reference: Srivastava et al. 2014, section 4; inverted: there, section 10.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    if rate == 0:
        return x
    axes = {axis % x.ndim for axis in shared}
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    kept = jnp.broadcast_to(jax.random.bernoulli(key, 1 - rate, shape), x.shape)
    return jnp.where(kept, x / (1 - rate), 0)
