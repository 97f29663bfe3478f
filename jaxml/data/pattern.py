# SPDX-License-Identifier: Apache-2.0
"""Binary patterns whose probabilities can be counted."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.types import Key


class Pattern(NamedTuple):
    """A distribution over binary arrays.

    Attributes:
      sample: `(key, n) -> (n, *shape)`, float32 zeros and ones.
      log_prob: `x (..., *shape) -> (...)` in nats, -inf for what cannot occur.
      entropy: In nats, closed form.
    """

    sample: Callable[[Key, int], Float[Array, "n ..."]]
    log_prob: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    entropy: float


def bars_and_stripes(side: int = 4) -> Pattern:
    """A fair coin picks rows or columns, m fair coins switch them on: P(x) = 2^-(m+1) or 2^-m.

    2^(m+1) - 2 images of m x m pixels; the empty and the full one arise both ways and are twice as
    likely. D. MacKay 2003, Information Theory, Inference, and Learning Algorithms, section 43.

    Raises:
      ValueError: If the side is below 2.
    """
    if side < 2:
        raise ValueError(f"side: expected at least 2, got {side}")

    def sample(key: Key, n: int) -> Array:
        key_way, key_on = jax.random.split(key)
        on = jax.random.bernoulli(key_on, 0.5, (n, side)).astype(jnp.float32)
        rows = jnp.broadcast_to(on[:, :, None], (n, side, side))
        way = jax.random.bernoulli(key_way, 0.5, (n, 1, 1))
        return jnp.where(way, rows, rows.swapaxes(1, 2))

    def log_prob(x: Array) -> Array:
        binary = ((x == 0) | (x == 1)).all(axis=(-2, -1))
        ways = (x == x[..., :, :1]).all(axis=(-2, -1)).astype(x.dtype) + (x == x[..., :1, :]).all(
            axis=(-2, -1)
        ).astype(x.dtype)
        return jnp.where(binary, jnp.log(ways) - (side + 1) * float(np.log(2)), -jnp.inf)

    entropy = (side + 1 - 2.0 ** (1 - side)) * float(np.log(2))
    return Pattern(sample, log_prob, entropy)


def heartbeat(length: int = 20, period: int = 5) -> Pattern:
    """A one every `period` bins from a uniform phase: P(x) = 1/period, entropy log period.

    The binary heartbeat of Sohl-Dickstein et al. 2015 (arXiv:1503.03585), section 3.1.1: log2 5 =
    2.322 bits at most.

    Raises:
      ValueError: If there is no period, or some phases would show no beat.
    """
    if not 1 <= period <= length:
        raise ValueError(f"period: expected 1 to the length {length}, got {period}")

    def sample(key: Key, n: int) -> Array:
        phase = jax.random.randint(key, (n, 1), 0, period)
        return (jnp.arange(length, dtype=phase.dtype)[None] % period == phase).astype(jnp.float32)

    def log_prob(x: Array) -> Array:
        beats = (np.arange(length) % period == np.arange(period)[:, None]).astype(np.float32)
        beats = jnp.asarray(beats, x.dtype).reshape((1,) * (x.ndim - 1) + beats.shape)
        occurs = (x[..., None, :] == beats).all(axis=-1).any(axis=-1)
        return jnp.where(occurs, -float(np.log(period)), -jnp.inf).astype(x.dtype)

    return Pattern(sample, log_prob, float(np.log(period)))


__all__ = ["Pattern", "bars_and_stripes", "heartbeat"]
