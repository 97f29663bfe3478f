# SPDX-License-Identifier: Apache-2.0
"""Models as one would write them with Flax and Optax alone: what ours are compared to."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxml.models.gan import GAN
from jaxml.types import Array, Key

HALVE = {"kernel_size": (4, 4), "strides": 2, "padding": "SAME"}


class Network(nnx.Module):
    """Layers and functions in turn."""

    def __init__(self, *layers: Callable):
        self.layers = nnx.List(layers)

    def __call__(self, x: Array) -> Array:
        """The last layer's result."""
        for layer in self.layers:
            x = layer(x)
        return x


class Autoencoder(nnx.Module):
    """An encoder and a decoder."""

    def __init__(self, encoder: Network, decoder: Network):
        self.encoder, self.decoder = encoder, decoder


def mlp(width: int, n_latent: int) -> Autoencoder:
    """784-width-width-latent and back."""
    rngs = nnx.Rngs(0)

    def network(*sizes: int) -> Network:
        layers = []
        for a, b in itertools.pairwise(sizes):
            layers += [nnx.Linear(a, b, rngs=rngs), jax.nn.silu]
        return Network(*layers[:-1])

    return Autoencoder(
        network(784, width, width, 2 * n_latent), network(n_latent, width, width, 784)
    )


def convolutional(channels: Sequence[int], width: int, n_latent: int) -> Autoencoder:
    """28x28: two convolutions 4x4 with stride 2, a hidden layer, and back."""
    rngs = nnx.Rngs(0)
    encoder = Network(*downward(channels, width, 2 * n_latent, rngs))
    return Autoencoder(encoder, Network(*upward(channels, width, n_latent, rngs)))


def adversaries(channels: Sequence[int], width: int, n_latent: int) -> GAN:
    """The same two pyramids as generator, which ends in tanh, and critic."""
    rngs = nnx.Rngs(0)
    generator = Network(*upward(channels, width, n_latent, rngs), jnp.tanh)
    critic = Network(*downward(channels, width, 1, rngs))
    return GAN(Unconditional(generator), Unconditional(critic), n_latent)


class Unconditional(nnx.Module):
    """A network that is given a context and does not look at it."""

    def __init__(self, network: Network):
        self.network = network

    def __call__(self, x: Array, context: None = None) -> Array:
        """The network's result."""
        return self.network(x)


def downward(channels: Sequence[int], width: int, n_out: int, rngs: nnx.Rngs) -> list[Callable]:
    """28x28 to numbers."""
    a, b = channels
    return [
        nnx.Conv(1, a, **HALVE, rngs=rngs),
        jax.nn.silu,
        nnx.Conv(a, b, **HALVE, rngs=rngs),
        jax.nn.silu,
        lambda x: x.reshape(len(x), -1),
        nnx.Linear(49 * b, width, rngs=rngs),
        jax.nn.silu,
        nnx.Linear(width, n_out, rngs=rngs),
    ]


def upward(channels: Sequence[int], width: int, n_latent: int, rngs: nnx.Rngs) -> list[Callable]:
    """Numbers to 28x28."""
    a, b = channels
    return [
        nnx.Linear(n_latent, width, rngs=rngs),
        jax.nn.silu,
        nnx.Linear(width, 49 * b, rngs=rngs),
        lambda x: jax.nn.silu(x).reshape(-1, 7, 7, b),
        nnx.ConvTranspose(b, a, **HALVE, rngs=rngs),
        jax.nn.silu,
        nnx.ConvTranspose(a, 1, **HALVE, rngs=rngs),
    ]


def loss(model: Autoencoder, x: Array, key: Key) -> tuple[Array, dict]:
    """The negative ELBO with Optax's cross-entropy."""
    mean, log_variance = jnp.split(model.encoder(x), 2, axis=-1)
    z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    cost = optax.sigmoid_binary_cross_entropy(model.decoder(z), x).sum()
    divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum()
    return (cost + divergence) / len(x), {}
