# SPDX-License-Identifier: Apache-2.0
"""Ready-made encoders and decoders: fully connected for flat data, convolutional for images."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.losses.likelihood import Likelihood
from jaxml.models.vae.model import VAE
from jaxml.nn.mlp import MLP, Activation
from jaxml.nn.pyramid import ImageDecoder, ImageEncoder


class SharedVariance(nnx.Module):
    """A decoder with one learned variance for all elements: raw = (network(z), ρ, ..., ρ).

    For `likelihood.normal`, whose second head ρ is. With one σ the best σ² is the mean squared
    error, and the weight between reconstruction and divergence sets itself.

    Reference: Rybkin et al. 2021, section 3.1, arXiv:2006.13202.
    """

    def __init__(self, network: nnx.Module):
        self.network = network
        self.raw_log_variance = nnx.Param(jnp.zeros(()))

    def __call__(self, *z: Float[Array, "batch _"]) -> Float[Array, "batch *raw"]:
        """The means, then as many copies of ρ along the last axis."""
        mean = self.network(*z)  # pyright: ignore[reportCallIssue]
        raw = jnp.broadcast_to(self.raw_log_variance[...].astype(mean.dtype), mean.shape)
        return jnp.concatenate([mean, raw], axis=-1)


def mlp(
    n_in: int,
    widths: Sequence[int],
    n_latent: int,
    likelihood: Likelihood,
    *,
    n_context: int = 0,
    activation: Activation = jax.nn.silu,
    dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> VAE:
    """A VAE of two MLPs for flat data: n_in-widths-n_latent and back.

    Args:
      n_in: elements of x.
      widths: hidden features of the encoder; the decoder has them in reverse.
      n_latent: dimensions of z.
      likelihood: p(x|z), see `jaxml.losses.likelihood`.
      n_context: features of the context of a conditional VAE.
      activation: of the hidden layers.
      dtype: dtype of the networks' computation.
      rngs: keys for initialization.
    """
    options = {"n_context": n_context, "activation": activation, "dtype": dtype, "rngs": rngs}
    encoder = MLP(n_in, widths, 2 * n_latent, **options)
    decoder = MLP(n_latent, tuple(reversed(widths)), likelihood.n_heads * n_in, **options)
    return VAE(encoder, decoder, likelihood, n_latent=n_latent)


def convolutional(
    shape: tuple[int, int, int],
    channels: Sequence[int],
    width: int,
    n_latent: int,
    likelihood: Likelihood,
    *,
    n_context: int = 0,
    activation: Activation = jax.nn.silu,
    dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> VAE:
    """A VAE for images: strided convolutions and one hidden layer to z, and back.

    Args:
      shape: (height, width, channels) of the images, such as (28, 28, 1) or (8, 8, 1).
      channels: channels after each halving of the size, such as (32, 64) or (16, 32).
      width: features of the hidden layer.
      n_latent: dimensions of z.
      likelihood: p(x|z), see `jaxml.losses.likelihood`.
      n_context: features of the context of a conditional VAE.
      activation: of all hidden layers.
      dtype: dtype of the networks' computation.
      rngs: keys for initialization.
    """
    options = {"n_context": n_context, "activation": activation, "dtype": dtype, "rngs": rngs}
    encoder = ImageEncoder(shape, channels, width, 2 * n_latent, **options)
    raw_shape = (*shape[:2], likelihood.n_heads * shape[2])
    decoder = ImageDecoder(n_latent, width, tuple(reversed(channels)), raw_shape, **options)
    return VAE(encoder, decoder, likelihood, n_latent=n_latent)
