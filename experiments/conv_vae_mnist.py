# SPDX-License-Identifier: Apache-2.0
"""A convolutional VAE on binarized MNIST.

Command: python -m experiments train conv_vae_mnist
Hardware: 2 CPU cores, about half an hour, of which evaluation takes 13 minutes.
Expected: see FACTS below and experiments/README.md.

The protocol of the data is that of `experiments.binarized_mnist`. Two strided convolutions and a
hidden layer to z, the mirror image back; with the convolution's gradients that stay fast inside
the compiled loop (`jaxml.layers.convolution`).
"""

import dataclasses

import jax
import optax
from flax import nnx

from experiments import vae_outcome
from experiments.binarized_mnist import binarized_mnist
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from jaxml.losses.likelihood import bernoulli
from jaxml.models import vae
from jaxml.training import average, chain, descend, guard

FACTS = Facts("VAE", "MNIST, binarized", "-86.3 nats (IWAE, 500 samples)", 30)
TINY = {
    "steps": 100,
    "save_every": 50,
    "look_every": 100,
    "width": 16,
    "channels": (2, 4),
    "n_samples": 5,
    "n_test": 200,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of conv_vae_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 10_000
    """Gradient steps; 500 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    channels: tuple[Count, Count] = (32, 64)
    """Channels after each of the two strided convolutions."""
    width: Count = 256
    """Features of the hidden layer between the convolutions and z."""
    n_latent: Count = 40
    """Dimensions of z."""
    static: bool = False
    """Binarize the training data once instead of at every step."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_samples: Count = 500
    """Importance samples a test example; 5000 would take three times as long as the training."""
    n_test: Count = 10_000
    """Test examples that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    mnist = binarized_mnist(
        data_dir,
        (28, 28, 1),
        config.batch_size,
        jax.random.fold_in(jax.random.key(config.seed), 1),
        n_test=config.n_test,
        static=config.static,
    )
    model = vae.convolutional(
        (28, 28, 1),
        config.channels,
        config.width,
        config.n_latent,
        bernoulli(),
        rngs=nnx.Rngs(config.seed),
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    rule = guard(chain(learn=descend(vae.loss, optax.adam(rate)), average=average(config.decay)))
    return vae_outcome.experiment(
        model,
        rule,
        mnist.batches,
        vae_outcome.View((28, 28)),
        mnist.valid,
        mnist.test,
        mnist.protocol,
        n_samples=config.n_samples,
    )
