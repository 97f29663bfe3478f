# SPDX-License-Identifier: Apache-2.0
"""Variational objectives: divergences to a prior, free bits, importance-weighted bounds."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxml.numerics import logsumexp, widen
from jaxml.probability import normal
from jaxml.types import Scalar


def kl_to_standard_normal(
    mean: Float[Array, "*batch latent"], log_variance: Float[Array, "*batch latent"]
) -> Float[Array, "*batch"]:
    """KL(N(μ, diag e^ℓ) ‖ N(0, I)) = ½ Σ(e^ℓ − 1 − ℓ + μ²), nats per example.

    Reference: Kingma and Welling 2014, appendix B, arXiv:1312.6114.
    """
    return jnp.sum(normal.kl_to_standard(mean, log_variance), axis=-1)


def kl_between_normals(
    mean: Float[Array, "*batch latent"],
    log_variance: Float[Array, "*batch latent"],
    other_mean: Float[Array, "*batch latent"],
    other_log_variance: Float[Array, "*batch latent"],
) -> Float[Array, "*batch"]:
    """KL(N(μ, diag e^ℓ) ‖ N(m, diag e^k)) = ½ Σ(e^(ℓ−k) − 1 − (ℓ − k) + (μ − m)² e^−k), nats."""
    return jnp.sum(
        normal.kl_divergence(mean, log_variance, other_mean, other_log_variance), axis=-1
    )


def free_bits(kl: Float[Array, "batch latent"], minimum: float | Scalar) -> Float[Array, "latent"]:
    """max(λ, mean over the batch of KL_j) for each latent dimension j.

    A dimension whose mean KL lies below λ costs λ and feels no gradient, so keeping that much
    information in it is free. The mean is taken before the maximum: single examples may use less.

    Args:
      kl: nats per example and dimension.
      minimum: λ in nats per dimension.

    Reference: Kingma et al. 2016, equation 15, arXiv:1606.04934.
    """
    return jnp.maximum(jnp.mean(kl, axis=0), minimum)


def importance_weighted_bound(log_weight: Float[Array, "sample *batch"]) -> Float[Array, "*batch"]:
    """log (1/K) Σ_k w_k, the IWAE bound: at most log p(x) in expectation, rising with K.

    Args:
      log_weight: log w_k = log p(x, z_k) − log q(z_k|x) in nats, samples along the first axis.

    Reference: Burda et al. 2016, equation 8, arXiv:1509.00519.
    """
    return logsumexp(log_weight, axis=0) - math.log(log_weight.shape[0])


def doubly_reparameterized_bound(
    log_weight: Callable[[PyTree, Float[Array, "..."]], Float[Array, "sample batch"]],
    parameters: PyTree,
    z: Float[Array, "sample batch latent"],
) -> Scalar:
    """Batch sum of the IWAE bound, with the DReG estimator as its gradient.

    Through z, and so towards the encoder, flows Σ_k w̃_k² ∂log w_k/∂z_k, with w̃ the normalized
    weights; `parameters`, those of the decoder, keep the plain gradient Σ_k w̃_k ∂log w_k/∂θ.
    While the weights are bounded, the signal-to-noise ratio of the plain encoder gradient falls
    with K and this one's rises.
    With K = 1 it is the estimator of Roeder et al. 2017, "sticking the landing".

    One forward and one backward pass give both: the pullback of w̃ is the plain gradient, and its
    z part is multiplied by w̃ once more. They are handed on as the slopes of a linear function, so
    the value differentiates once and no further.

    Args:
      log_weight: `(parameters, z) -> log w`, in which q's own parameters must be held constant
        (`jax.lax.stop_gradient`): DReG is the gradient through z alone.
      parameters: what log w differentiates apart from z.
      z: reparameterized samples.

    Reference: Tucker et al. 2019, equation 8, arXiv:1810.04152.
    """
    log_w, pullback = jax.vjp(log_weight, *jax.lax.stop_gradient((parameters, z)))
    weight = jax.nn.softmax(log_w, axis=0)
    slope, slope_z = pullback(weight)
    linear = jnp.vdot(weight[..., None] * slope_z, z) + sum(
        jnp.vdot(widen(g), widen(p))
        for g, p in zip(jax.tree.leaves(slope), jax.tree.leaves(parameters), strict=True)
        if jnp.issubdtype(p.dtype, jnp.floating)
    )
    value = jnp.sum(importance_weighted_bound(log_w))
    return value + linear - jax.lax.stop_gradient(linear)
