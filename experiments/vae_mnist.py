# SPDX-License-Identifier: Apache-2.0
"""A VAE with one stochastic layer on binarized MNIST, learned by the ELBO or by IWAE.

Command: python -m experiments train vae_mnist
         python -m experiments train vae_mnist --n-importance 5 --run-dir runs/iwae_mnist
Hardware: 2 CPU cores, about 1 hour.
Expected: see FACTS below and experiments/README.md.

The protocol of the data is that of `experiments.binarized_mnist`. Published numbers with one
stochastic layer: 86.76 nats for a VAE and 84.78 for IWAE with 50 samples (Burda et al. 2016,
Table 1, arXiv:1509.00519), after thousands of epochs.
"""

import dataclasses
from functools import partial

import jax
import optax
from flax import nnx

from experiments import vae_outcome
from experiments.binarized_mnist import binarized_mnist
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from jaxml.losses.likelihood import bernoulli
from jaxml.models import vae
from jaxml.nn import GatedMLP
from jaxml.training import average, chain, descend, guard

FACTS = Facts("VAE", "MNIST, binarized", "log p(x) >= -87 nats (IWAE, 5000 samples)", 60)
TINY = {
    "steps": 100,
    "save_every": 50,
    "look_every": 100,
    "width": 16,
    "n_samples": 5,
    "n_test": 200,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of vae_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 100_000
    """Gradient steps; 500 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    width: Count = 300
    """Features of the two gated layers of encoder and decoder."""
    n_latent: Count = 40
    """Dimensions of z."""
    n_importance: Count = 1
    """Samples of the objective: 1 is the ELBO with its closed-form divergence, more is IWAE."""
    static: bool = False
    """Binarize the training data once instead of at every step."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_samples: Count = 5000
    """Importance samples a test example."""
    n_test: Count = 10_000
    """Test examples that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 5000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    mnist = binarized_mnist(
        data_dir,
        (784,),
        config.batch_size,
        jax.random.fold_in(jax.random.key(config.seed), 1),
        n_test=config.n_test,
        static=config.static,
    )
    rngs, widths = nnx.Rngs(config.seed), (config.width, config.width)
    model = vae.VAE(
        GatedMLP(784, widths, 2 * config.n_latent, rngs=rngs),
        GatedMLP(config.n_latent, widths, 784, rngs=rngs),
        bernoulli(),
        n_latent=config.n_latent,
    )
    loss = vae.loss
    if config.n_importance > 1:
        loss = partial(vae.iwae_loss, n_samples=config.n_importance)
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    rule = guard(chain(learn=descend(loss, optax.adam(rate)), average=average(config.decay)))
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
