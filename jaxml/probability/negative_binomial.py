# SPDX-License-Identifier: Apache-2.0
"""The negative binomial distribution: Poisson counts whose rate is gamma distributed; in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import stirling_remainder


def log_prob(
    y: Float[Array, "*#shape"],
    log_mean: Float[Array, "*#shape"],
    log_shape: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log P(y) = log Γ(y + r)/(Γ(r) y!) + r log r/(r + μ) + y log μ/(r + μ); −inf for y < 0.

    Its mean is μ and its variance μ + μ²/r; as r → ∞ it becomes the Poisson distribution, where the
    printed form subtracts numbers of the size of r log r. Here, with n = y + r, φ(t) = e^t − 1 − t
    and c(x) = log x! − x log x + x, it is c(n) − c(r) − c(y) − log n/r − r φ(u) − y φ(v) with
    u = log n/(r + μ) and v = u + log μ/y, and nothing cancels.

    Args:
      y: counts.
      log_mean: log μ.
      log_shape: log r, the shape of the gamma distribution.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities, section 4.
    """
    mean, r = jnp.exp(log_mean), jnp.exp(log_shape)
    n = y + r
    log_total = jnp.logaddexp(log_mean, log_shape)
    total = r + mean
    # Quotients have slopes like 1/total², which must not overflow before they are multiplied.
    unit = jnp.where(total > 1e15, 1e-20, jnp.where(total < 1e-12, 1e20, 1))
    share, change = mean * unit / (total * unit), (y - mean) * unit / (total * unit)
    close = jnp.abs(change) < 0.5  # there log n − log(r + μ) would have lost its digits
    u = jnp.where(close, jnp.log1p(jnp.where(close, change, 0)), jnp.log(n) - log_total)
    few = y < 8
    safe = jnp.where(few, 8, y)
    many = y * _curved(u + log_mean - jnp.log(safe)) + stirling_remainder(safe)
    less = share * n - y * (u + log_mean) + jax.lax.lgamma(y + 1)
    rest = stirling_remainder(r) - stirling_remainder(n) + jnp.log1p(y * jnp.exp(-log_shape))
    value = jnp.where(few, less, many) + r * _curved(u) + rest
    return jnp.where(y < 0, -jnp.inf, -value)


def _curved(t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.expm1(t) - t
