# SPDX-License-Identifier: Apache-2.0
"""Pairs of networks to begin with."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxml.models.condition import Context
from jaxml.models.gan.model import GAN
from jaxml.nn import MLP, ImageDecoder, ImageEncoder, Projection, spectral
from jaxml.nn.mlp import Activation
from jaxml.nn.pyramid import expect_stages


def mlp(
    n: int,
    widths: Sequence[int],
    n_latent: int,
    *,
    n_context: int = 0,
    activation: Activation = jax.nn.silu,
    rngs: nnx.Rngs,
) -> GAN:
    """A GAN of two MLPs for flat data: n_latent-widths-n, and n-widths-1.

    Args:
      n: elements of x.
      widths: hidden features of both networks.
      n_latent: numbers of z.
      n_context: features of the context of a conditional GAN, one more input of both.
      activation: of the hidden layers; smooth, for penalties differentiate the critic twice.
      rngs: keys for initialization.

    Reference: Mirza and Osindero 2014, arXiv:1411.1784, for the context.
    """
    options = {"n_context": n_context, "activation": activation, "rngs": rngs}
    return GAN(MLP(n_latent, widths, n, **options), MLP(n, widths, 1, **options), n_latent)


class Bounded(nnx.Module):
    """tanh of what a network says: images in (−1, 1).

    Args:
      network: `(z, context) -> x`.
    """

    def __init__(self, network: nnx.Module):
        self.network = network

    def __call__(
        self, z: Float[Array, "batch n_latent"], context: Context = None
    ) -> Float[Array, "batch *event"]:
        """The image of every latent vector."""
        return jnp.tanh(self.network(z, context))


def convolutional(
    shape: tuple[int, int, int],
    channels: Sequence[int],
    width: int,
    n_latent: int,
    *,
    n_context: int = 0,
    resize: bool = False,
    projection: bool = False,
    attention: Sequence[int] = (),
    spectral_critic: bool = False,
    activation: Activation = jax.nn.silu,
    rngs: nnx.Rngs,
) -> GAN:
    """A GAN of two pyramids of convolutions for images in [−1, 1].

    The critic halves the image at every entry of `channels` and the generator mirrors it. Neither
    has batch normalization: a penalty on slopes forbids it in the critic, and the relativistic game
    does without it in the generator.

    Args:
      shape: (height, width, channels) of the images; the size must halve evenly at every stage.
      channels: of the critic after each stage; the generator has them in reverse.
      width: hidden features of the fully connected layer of both.
      n_latent: numbers of z.
      n_context: features of the context, one more input of both fully connected layers.
      resize: whether the generator repeats pixels and convolves, in place of transposed
        convolutions; see `jaxml.metrics.checkerboard`.
      projection: whether the critic multiplies what it sees with the context, see `Projection`, in
        place of reading both.
      attention: stages of the critic after which all positions see each other; the generator
        mirrors them.
      spectral_critic: whether all layers of the critic are under spectral normalization.
      activation: of the hidden layers.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not halve evenly, a projection without a context, or a stage
        that is not there.

    Reference: Radford et al. 2016, arXiv:1511.06434, for two pyramids; Miyato et al. 2018,
    arXiv:1802.05957, for the spectral norm; Miyato and Koyama 2018, arXiv:1802.05637, for the
    projection; Zhang et al. 2019, arXiv:1805.08318, for attention.
    """
    expect_stages(len(channels), attention)
    options = {"activation": activation, "rngs": rngs}
    decoder = ImageDecoder(
        n_latent,
        width,
        tuple(reversed(channels)),
        shape,
        n_context=n_context,
        resize=resize,
        attention=[len(channels) - 1 - i for i in attention],
        **options,
    )
    if projection:
        seen = ImageEncoder(shape, channels, width, width, attention=attention, **options)
        critic = Projection(seen, width, n_context, **options)
    else:
        critic = ImageEncoder(
            shape, channels, width, 1, n_context=n_context, attention=attention, **options
        )
    if spectral_critic:
        critic = spectral(critic, rngs=rngs)
    return GAN(Bounded(decoder), critic, n_latent)
