# SPDX-License-Identifier: Apache-2.0
"""The normal distribution N(μ, e^ℓ), ℓ = log σ²; one value for each element, in nats."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

LOG_2PI = math.log(2 * math.pi)


def log_prob(
    x: Float[Array, "*#shape"], mean: Float[Array, "*#shape"], log_variance: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log N(x; μ, e^ℓ) = −½(log 2π + ℓ + (x − μ)² e^−ℓ)."""
    return -0.5 * (LOG_2PI + log_variance + jnp.square(x - mean) * jnp.exp(-log_variance))


def reparameterize(
    mean: Float[Array, "*#shape"],
    log_variance: Float[Array, "*#shape"],
    eps: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """z = μ + e^(ℓ/2) ε: a draw from N(μ, e^ℓ) for ε from N(0, 1), differentiable in μ and ℓ.

    Only the law of ε is free of parameters: ∂z/∂σ is ε itself.

    Reference: Kingma and Welling 2014, section 2.4, arXiv:1312.6114.
    """
    return mean + jnp.exp(0.5 * log_variance) * eps


def entropy(log_variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """H = ½(log 2π + 1 + ℓ)."""
    return 0.5 * (LOG_2PI + 1 + log_variance)


def kl_divergence(
    mean: Float[Array, "*#shape"],
    log_variance: Float[Array, "*#shape"],
    other_mean: Float[Array, "*#shape"],
    other_log_variance: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """KL(N(μ, e^ℓ) ‖ N(m, e^k)) = ½(e^(ℓ−k) − 1 − (ℓ − k) + (μ − m)² e^−k)."""
    d = log_variance - other_log_variance
    return 0.5 * (jnp.expm1(d) - d + jnp.square(mean - other_mean) * jnp.exp(-other_log_variance))


def kl_to_standard(
    mean: Float[Array, "*#shape"], log_variance: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """KL(N(μ, e^ℓ) ‖ N(0, 1)) = ½(e^ℓ − 1 − ℓ + μ²).

    Written with expm1: near ℓ = 0 the difference e^ℓ − 1 would keep no digit of a small ℓ.

    Reference: Kingma and Welling 2014, appendix B, arXiv:1312.6114.
    """
    return 0.5 * (jnp.expm1(log_variance) - log_variance + jnp.square(mean))
