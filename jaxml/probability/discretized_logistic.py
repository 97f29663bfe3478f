# SPDX-License-Identifier: Apache-2.0
"""The logistic distribution read off on a grid of [−1, 1]; one value for each element, in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import log_sigmoid, log_sigmoid_difference
from jaxml.probability.levels import nearest_level
from jaxml.types import Key


def log_prob(
    x: Float[Array, "*#shape"],
    mean: Float[Array, "*#shape"],
    log_scale: Float[Array, "*#shape"],
    *,
    n_levels: int = 256,
) -> Float[Array, "*#shape"]:
    """log P(x) = log[σ((x − μ + h)/s) − σ((x − μ − h)/s)], h = 1/(n − 1) half a bin.

    The outer bins are open: they hold the tails, so the probabilities of the levels sum to 1.

    Args:
      x: levels −1, −1 + 2h, ..., 1.
      mean: μ, the location.
      log_scale: log s.
      n_levels: n, the number of levels.

    Reference: Salimans et al. 2017, PixelCNN++, section 2.1, arXiv:1701.05517; the difference of
    sigmoids is evaluated without cancellation.
    """
    h = 1 / (n_levels - 1)
    per_scale = jnp.exp(-log_scale)
    lower = (x - mean - h) * per_scale
    upper = (x - mean + h) * per_scale
    inside = log_sigmoid_difference(lower, jnp.broadcast_to(2 * h * per_scale, lower.shape))
    # NaN compares false and stays in the inner form, which keeps it NaN.
    return jnp.where(
        x < -1 + h,
        log_sigmoid(upper),
        jnp.where(x > 1 - h, log_sigmoid(-lower), inside),
    )


def sample(
    mean: Float[Array, "*shape"],
    log_scale: Float[Array, "*shape"],
    key: Key,
    *,
    n_levels: int = 256,
) -> Float[Array, "*shape"]:
    """x = the level nearest to μ + s·logit(u), u uniform: exactly the law of `log_prob`."""
    noise = jax.random.logistic(key, mean.shape, mean.dtype)
    return nearest_level(mean + jnp.exp(log_scale) * noise, n_levels)
