# SPDX-License-Identifier: Apache-2.0
"""The variational autoencoder: z ~ N(0, I), x ~ p(x|z), and an encoder q(z|x) = N(μ, diag e^ℓ)."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxml.losses.likelihood import Likelihood
from jaxml.models.condition import Context
from jaxml.numerics import soft_clip, widen


class Posterior(NamedTuple):
    """q(z|x) = N(μ, diag e^ℓ)."""

    mean: Float[Array, "batch latent"]
    log_variance: Float[Array, "batch latent"]


class VAE(nnx.Module):
    """An encoder, a decoder, and the likelihood that reads the decoder's output.

    Both networks are called as `network(x)`, or as `network(x, context)` in a conditional model.
    They hold no random state; batch statistics are not updated here.

    Args:
      encoder: maps x to 2·n_latent numbers: μ, and raw ℓ.
      decoder: maps z to raw output, whose last axis is `likelihood.n_heads` times that of x.
      likelihood: p(x|z), see `jaxml.losses.likelihood`.
      n_latent: dimensions of z.
      limit: c in ℓ = c·tanh(raw/c). e^ℓ overflows float32 at 88.7, and the divergence to the prior
        must be taken with the same bounded ℓ that the samples are drawn with.

    Reference: Kingma and Welling 2014, arXiv:1312.6114.
    """

    def __init__(
        self,
        encoder: Callable[..., Array],
        decoder: Callable[..., Array],
        likelihood: Likelihood,
        *,
        n_latent: int,
        limit: float = 20.0,
    ):
        if n_latent < 1:
            raise ValueError(f"n_latent: expected a positive size, got {n_latent}")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.n_latent = n_latent
        self.limit = limit


def posterior(
    model: VAE, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Posterior:
    """q(z|x): μ and ℓ = c·tanh(raw/c), never narrower than float32."""
    raw = widen(_apply(model.encoder, widen(x), context))
    if raw.shape[-1] != 2 * model.n_latent:
        raise ValueError(
            f"encoder: expected {2 * model.n_latent} outputs (mean and raw log-variance of "
            f"{model.n_latent} latent dimensions), got {raw.shape[-1]}"
        )
    mean, raw_log_variance = jnp.split(raw, 2, axis=-1)
    return Posterior(mean, soft_clip(raw_log_variance, model.limit))


def decode(
    model: VAE, z: Float[Array, "batch latent"], *, context: Context = None
) -> Float[Array, "batch *raw"]:
    """The decoder's raw output, to be read by `model.likelihood`."""
    return _apply(model.decoder, z, context)


def conditional_log_prob(
    model: VAE,
    x: Shaped[Array, "batch *event"],
    z: Float[Array, "sample batch latent"],
    *,
    context: Context = None,
) -> Float[Array, "sample batch"]:
    """log p(x|z_k), nats per sample and example; one call of the decoder on sample·batch rows."""
    n_samples, n_batch, n_latent = z.shape
    if context is not None:
        context = jnp.tile(context, (n_samples, 1))
    raw = decode(model, z.reshape(n_samples * n_batch, n_latent), context=context)
    raw = raw.reshape(n_samples, n_batch, *raw.shape[1:])
    each = model.likelihood.log_prob(x[None], raw)
    return jnp.sum(each, axis=tuple(range(2, each.ndim)))


def _apply(network, x, context):
    return network(x) if context is None else network(x, context)
