# SPDX-License-Identifier: Apache-2.0
"""What a VAE learns by: the ELBO, the β-VAE, and the importance-weighted bounds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.losses import variational
from jaxml.models.condition import Context, unpack
from jaxml.models.vae.model import VAE, conditional_log_prob, posterior
from jaxml.probability import normal
from jaxml.types import Batch, Key, Metrics, Scalar


class Elbo(NamedTuple):
    """The evidence lower bound of each example and its terms, in nats.

    Attributes:
      value: reconstruction − Σ_j KL_j, at most log p(x) in expectation.
      reconstruction: log p(x|z) at one draw of z.
      kl: KL(q(z_j|x) ‖ p(z_j)) of each latent dimension, in closed form.
    """

    value: Float[Array, "batch"]
    reconstruction: Float[Array, "batch"]
    kl: Float[Array, "batch latent"]


def elbo(
    model: VAE, x: Shaped[Array, "batch *event"], key: Key, *, context: Context = None
) -> Elbo:
    """log p(x|z) − KL(q(z|x) ‖ N(0, I)) with one z from q(z|x): a lower bound, nats per example.

    Reference: Kingma and Welling 2014, equation 10, arXiv:1312.6114.
    """
    q = posterior(model, x, context=context)
    z = normal.reparameterize(*q, jax.random.normal(key, q.mean.shape, q.mean.dtype))
    reconstruction = conditional_log_prob(model, x, z[None], context=context)[0]
    kl = normal.kl_to_standard(*q)
    return Elbo(reconstruction - jnp.sum(kl, axis=-1), reconstruction, kl)


def loss(
    model: VAE,
    batch: Batch,
    key: Key,
    *,
    beta: float | Scalar = 1.0,
    free_nats: float | Scalar = 0.0,
) -> tuple[Scalar, Metrics]:
    """−E[log p(x|z)] + β Σ_j max(λ, KL_j): sums over dimensions, means over the batch, nats.

    With β = 1 and λ = 0 it is the negative ELBO. The metrics report the ELBO itself at any β, λ.

    Args:
      model: the VAE.
      batch: x, or {"x": x, "y": context}.
      key: draws z.
      beta: β multiplies the divergence, and the reconstruction stays a log-likelihood.
      free_nats: λ, the cost-free nats of each latent dimension.

    Reference: Higgins et al. 2017, beta-VAE, equation 4 (ICLR); Kingma et al. 2016, equation 15,
    arXiv:1606.04934.
    """
    x, context = unpack(batch)
    bound = elbo(model, x, key, context=context)
    reconstruction = jnp.mean(bound.reconstruction)
    rate = jnp.sum(variational.free_bits(bound.kl, free_nats))
    return beta * rate - reconstruction, {
        "elbo": jnp.mean(bound.value),
        "reconstruction": reconstruction,
        "kl": jnp.mean(jnp.sum(bound.kl, axis=-1)),
    }


def log_weight(
    model: VAE,
    x: Shaped[Array, "batch *event"],
    key: Key,
    n_samples: int,
    *,
    context: Context = None,
) -> Float[Array, "sample batch"]:
    """log w_k = log p(x, z_k) − log q(z_k|x) for z_k = μ + σε_k from q(z|x), in nats."""
    q = posterior(model, x, context=context)
    eps = jax.random.normal(key, (n_samples, *q.mean.shape), q.mean.dtype)
    z = normal.reparameterize(q.mean[None], q.log_variance[None], eps)
    # log p(z) − log q(z|x), with ε in place of (z − μ)/σ, which cancels when |μ| is far above σ.
    ratio = 0.5 * jnp.sum(jnp.square(eps) + q.log_variance[None] - jnp.square(z), axis=-1)
    return conditional_log_prob(model, x, z, context=context) + ratio


def iwae(
    model: VAE,
    x: Shaped[Array, "batch *event"],
    key: Key,
    n_samples: int,
    *,
    context: Context = None,
) -> Float[Array, "batch"]:
    """log (1/K) Σ_k w_k: a lower bound in expectation, tighter than the ELBO, nats per example.

    Reference: Burda et al. 2016, equation 8, arXiv:1509.00519.
    """
    return variational.importance_weighted_bound(
        log_weight(model, x, key, n_samples, context=context)
    )


def iwae_loss(model: VAE, batch: Batch, key: Key, *, n_samples: int = 50) -> tuple[Scalar, Metrics]:
    """−E[log (1/K) Σ_k w_k], differentiated as it stands; the metric `elbo` is that of K = 1."""
    x, context = unpack(batch)
    log_w = log_weight(model, x, key, n_samples, context=context)
    bound = jnp.mean(variational.importance_weighted_bound(log_w))
    return -bound, {"iwae": bound, "elbo": jnp.mean(log_w)}


def dreg_loss(model: VAE, batch: Batch, key: Key, *, n_samples: int = 50) -> tuple[Scalar, Metrics]:
    """The value of `iwae_loss` with the doubly reparameterized gradient for the encoder.

    Reference: Tucker et al. 2019, equation 8, arXiv:1810.04152.
    """
    x, context = unpack(batch)
    q = posterior(model, x, context=context)
    eps = jax.random.normal(key, (n_samples, *q.mean.shape), q.mean.dtype)
    z = normal.reparameterize(q.mean[None], q.log_variance[None], eps)
    mean, log_variance = jax.lax.stop_gradient(q)

    def log_w(model, z):
        u = (z - mean[None]) * jnp.exp(-0.5 * log_variance[None])
        ratio = 0.5 * jnp.sum(jnp.square(u) + log_variance[None] - jnp.square(z), axis=-1)
        return conditional_log_prob(model, x, z, context=context) + ratio

    total = variational.doubly_reparameterized_bound(log_w, model, z)
    bound = total / x.shape[0]
    return -bound, {"iwae": bound}
