# SPDX-License-Identifier: Apache-2.0
"""Student's t distribution with ν degrees of freedom; one value for each element, in nats."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from jaxml.types import Key


def log_prob(
    x: Float[Array, "*#shape"], freedom: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log Γ((ν+1)/2) − log Γ(ν/2) − ½ log(πν) − (ν+1)/2 log(1 + x²/ν).

    Args:
      x: where.
      freedom: ν > 0; the tails fall like |x|^−(ν+1), and ν → ∞ is N(0, 1).
    """
    half = 0.5 * (freedom + 1)
    constant = gammaln(half) - gammaln(0.5 * freedom) - 0.5 * jnp.log(math.pi * freedom)
    return constant - half * jnp.log1p(jnp.square(x) / freedom)


def sample(freedom: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
    """ε √(ν/χ²_ν): a normal draw over the root of a mean of ν squares."""
    normal_key, gamma_key = jax.random.split(key)
    eps = jax.random.normal(normal_key, freedom.shape, freedom.dtype)
    square = 2 * jax.random.gamma(gamma_key, 0.5 * freedom, dtype=freedom.dtype)
    return eps * jnp.sqrt(freedom / square)
