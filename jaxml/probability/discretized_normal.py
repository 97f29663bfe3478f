# SPDX-License-Identifier: Apache-2.0
"""The normal distribution read off on a grid of [−1, 1]; one value for each element, in nats."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.numerics import log1mexp, log_ndtr
from jaxml.probability.levels import nearest_level
from jaxml.types import Key

NODES, WEIGHTS = np.polynomial.legendre.leggauss(7)


def log_prob(
    x: Float[Array, "*#shape"],
    mean: Float[Array, "*#shape"],
    log_variance: Float[Array, "*#shape"],
    *,
    n_levels: int = 256,
) -> Float[Array, "*#shape"]:
    """log P(x) = log[Φ((x − μ + h)/σ) − Φ((x − μ − h)/σ)], h = 1/(n − 1) half a bin.

    The outer bins are open: they hold the tails, so the probabilities of the levels sum to 1.

    Args:
      x: levels −1, −1 + 2h, ..., 1.
      mean: μ.
      log_variance: log σ².
      n_levels: n, the number of levels.

    Reference: Ho et al. 2020, equation 13, arXiv:2006.11239.
    """
    h = 1 / (n_levels - 1)
    per_scale = jnp.exp(-0.5 * log_variance)
    middle = (x - mean) * per_scale
    half = jnp.broadcast_to(h * per_scale, middle.shape)
    # NaN compares false and stays in the inner form, which keeps it NaN.
    return jnp.where(
        x < -1 + h,
        log_ndtr(middle + half),
        jnp.where(x > 1 - h, log_ndtr(half - middle), log_interval(middle, 2 * half)),
    )


def log_interval(
    middle: Float[Array, "*shape"], width: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """log[Φ(m + w/2) − Φ(m − w/2)] for w > 0.

    A narrow interval is φ(m) w times the mean of e^(−mu − u²/2) over |u| < w/2, by Gauss and
    Legendre's rule; a wide one the difference of two tails, both on the side where they are small.

    Args:
      middle: m.
      width: w; as an argument of its own, for a difference of the ends has lost its digits.
    """
    narrow = (width < 1) & (jnp.abs(middle) * width < 1)
    m, w = jnp.where(narrow, middle, 0.0), jnp.where(narrow, width, 1.0)
    total = jnp.full_like(m, 0.5 * WEIGHTS[3])
    for node, weight in zip(NODES[4:], WEIGHTS[4:], strict=True):
        u = 0.5 * float(node) * w
        total = total + float(weight) * jnp.exp(-0.5 * jnp.square(u)) * jnp.cosh(m * u)
    density = -0.5 * jnp.square(m) - 0.5 * math.log(2 * math.pi)
    near = density + jnp.log(w) + jnp.log(total)
    m, w = -jnp.abs(jnp.where(narrow, 0.0, middle)), jnp.where(narrow, 2.0, width)
    upper, lower = log_ndtr(m + 0.5 * w), log_ndtr(m - 0.5 * w)
    return jnp.where(narrow, near, upper + log1mexp(upper - lower))


def sample(
    mean: Float[Array, "*shape"],
    log_variance: Float[Array, "*shape"],
    key: Key,
    *,
    n_levels: int = 256,
) -> Float[Array, "*shape"]:
    """x = the level nearest to μ + σ ε, ε from N(0, 1): exactly the law of `log_prob`."""
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return nearest_level(mean + jnp.exp(0.5 * log_variance) * noise, n_levels)
