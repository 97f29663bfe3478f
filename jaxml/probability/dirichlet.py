# SPDX-License-Identifier: Apache-2.0
"""The Dirichlet distribution over probabilities of K classes, which lie along the last axis; nats.

It is the law of gamma draws of shapes α divided by their sum; what is known of those is used
throughout, with s = Σα as their rate.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability import gamma
from jaxml.probability.factorial import stirling_remainder, stirling_slope
from jaxml.types import Key

Probabilities = Float[Array, "*#batch n_classes"]
Concentration = Float[Array, "*#batch n_classes"]


def log_prob(x: Probabilities, concentration: Concentration) -> Float[Array, "*batch"]:
    """log p(x) = log Γ(s) + Σ [(α_k − 1) log x_k − log Γ(α_k)], of the first K − 1 coordinates.

    −inf where an x is negative or their sum is further from 1 than √ε, ε that of the dtype; what
    is closer counts as rounding. Where x_k = 0 the density is infinite for α_k < 1 and 0 for
    α_k > 1; where it has both, NaN.

    Args:
      x: probabilities. Slopes are right along the simplex and have no meaning across it.
      concentration: α > 0.
    """
    x, concentration = jnp.broadcast_arrays(x, concentration)
    room = jnp.sqrt(jnp.finfo(x.dtype).eps)
    outside = jnp.any(x < 0, axis=-1) | (jnp.abs(jnp.sum(x, axis=-1) - 1) > room)
    x = jnp.where(outside[..., None], 1 / x.shape[-1], x)
    total = jnp.sum(concentration, axis=-1, keepdims=True)
    value = jnp.sum(gamma.log_prob(x, concentration, total), axis=-1) + _left(total)
    return jnp.where(outside, -jnp.inf, value)


def log_prob_of_logits(
    logits: Float[Array, "*#batch n_classes"], concentration: Concentration
) -> Float[Array, "*batch"]:
    """log p(x) at x = softmax(l), for x that would underflow; its slope in l is α − 1 − (s − K)x.

    Args:
      logits: l; log-probabilities, or these and any constant.
      concentration: α > 0.
    """
    logits, concentration = jnp.broadcast_arrays(logits, concentration)
    total = jnp.sum(concentration, axis=-1, keepdims=True)
    each = gamma.log_prob_of_log(jax.nn.log_softmax(logits, axis=-1), concentration, total)
    return jnp.sum(each, axis=-1) + _left(total)


def mean(concentration: Concentration) -> Concentration:
    """E x = α/s."""
    return concentration / jnp.sum(concentration, axis=-1, keepdims=True)


def variance(concentration: Concentration) -> Concentration:
    """E(x_k − α_k/s)² = α_k (s − α_k)/(s²(s + 1))."""
    total = jnp.sum(concentration, axis=-1, keepdims=True)
    share = concentration / total
    return share * (1 - share) / (total + 1)


def covariance(concentration: Concentration) -> Float[Array, "*batch n_classes n_classes"]:
    """(diag p − ppᵀ)/(s + 1) with p = α/s, singular: probabilities add up to 1."""
    total = jnp.sum(concentration, axis=-1, keepdims=True)
    p = concentration / total
    diagonal = p[..., None] * jnp.eye(p.shape[-1], dtype=p.dtype)
    return (diagonal - p[..., None] * p[..., None, :]) / (total[..., None] + 1)


def sample(concentration: Concentration, key: Key) -> Probabilities:
    """A draw, with slopes in α; what underflows is 0, and some x is above 0 for any α."""
    return jnp.exp(sample_log(concentration, key))


def sample_log(concentration: Concentration, key: Key) -> Float[Array, "*batch n_classes"]:
    """log of the draw that `sample` makes with the same key, finite for small α too."""
    draws = gamma.sample_log(concentration, jnp.ones_like(concentration), key)
    return jax.nn.log_softmax(draws, axis=-1)


def entropy(concentration: Concentration) -> Float[Array, "*batch"]:
    """H = Σ log Γ(α_k) − log Γ(s) + (s − K) ψ(s) − Σ (α_k − 1) ψ(α_k)."""
    total = jnp.sum(concentration, axis=-1, keepdims=True)
    each = jnp.sum(gamma.entropy(concentration, total), axis=-1)
    total = total[..., 0]
    free = concentration.shape[-1] - 1
    return each - gamma.entropy(total, total) - free * (stirling_slope(total) - 1 / total)


def kl_divergence(concentration: Concentration, other: Concentration) -> Float[Array, "*batch"]:
    """KL(α ‖ β) = log Γ(s)/Γ(t) − Σ log Γ(α_k)/Γ(β_k) + Σ (α_k − β_k)(ψ(α_k) − ψ(s)), t = Σβ.

    It is that of the gamma distributions less that of their sums.

    Args:
      concentration: α > 0.
      other: β > 0.
    """
    s, t = (jnp.sum(v, axis=-1, keepdims=True) for v in (concentration, other))
    each = jnp.sum(gamma.kl_divergence(concentration, s, other, t), axis=-1)
    return each - gamma.kl_divergence(s, s, t, t)[..., 0]


def _left(total: Float[Array, "*batch 1"]) -> Float[Array, "*batch"]:
    """−log of the density at 1 of a gamma draw of shape and rate s."""
    return (stirling_remainder(total) - jnp.log(total))[..., 0]
