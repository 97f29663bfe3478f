# SPDX-License-Identifier: Apache-2.0
"""A VAE on scikit-learn's 8 x 8 digits: the demonstration.

Command: python -m experiments train vae_digits
Hardware: 2 CPU cores, half a minute.
Expected: see FACTS below and experiments/README.md.

The 17 intensities of a pixel are a discretized logistic, so the evidence is an honest probability
mass in nats per image, not a density.
"""

import dataclasses
from functools import partial

import jax
import optax
from flax import nnx

from experiments import judge, vae_outcome
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import digits, in_memory, sha256
from jaxml.losses.likelihood import discretized_logistic
from jaxml.metrics import Evidence
from jaxml.models import vae
from jaxml.nn import MLP
from jaxml.training import average, chain, descend, guard
from jaxml.types import Key, Model

FACTS = Facts("VAE", "digits, 17 levels", "-82.1 nats (IWAE, 5000 samples)", 0.5)
TINY = {
    "steps": 200,
    "save_every": 50,
    "look_every": 100,
    "width": 32,
    "n_samples": 50,
    "n_draws": 0,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of vae_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 2000
    """Gradient steps."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    width: Count = 256
    """Features of the two hidden layers of encoder and decoder."""
    n_latent: Count = 16
    """Dimensions of z."""
    beta: NonNegative = 1.0
    """The weight of the divergence; 1 is the evidence lower bound."""
    weight_decay: NonNegative = 0.5
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    n_samples: Count = 5000
    """Importance samples a test example."""
    n_draws: Natural = 1000
    """Draws for the Fréchet distance; 0 leaves it out."""
    save_every: Count = 250
    """Steps between checkpoints."""
    look_every: Count = 250
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    splits = digits()
    train, valid, test = (2 * part["x"].reshape(-1, 64) - 1 for part in splits)
    rngs = nnx.Rngs(config.seed)
    widths = (config.width, config.width)
    likelihood = discretized_logistic(n_levels=17)
    model = vae.VAE(
        MLP(64, widths, 2 * config.n_latent, rngs=rngs),
        MLP(config.n_latent, widths, 64 * likelihood.n_heads, rngs=rngs),
        likelihood,
        n_latent=config.n_latent,
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    loss = partial(vae.loss, beta=config.beta)
    optimizer = optax.adamw(rate, weight_decay=config.weight_decay)
    rule = guard(chain(learn=descend(loss, optimizer), average=average(config.decay)))
    order_key = jax.random.fold_in(jax.random.key(config.seed), 1)
    batches = in_memory(train, config.batch_size, order_key)
    view = vae_outcome.View((8, 8), low=-1.0)
    protocol = {"data": "digits", "split": "test", "levels": 17, "sha256": sha256(test)}
    return vae_outcome.experiment(
        model,
        rule,
        batches,
        view,
        valid,
        test,
        protocol,
        n_samples=config.n_samples,
        extra=partial(likeness, view, config.n_draws),
    )


def likeness(view: vae_outcome.View, n: int, model: Model, key: Key) -> list[Evidence]:
    """The Fréchet distance of draws, and of their means without the noise of p(x|z)."""
    if n == 0:
        return []
    x_key, z_key = jax.random.split(key)
    drawn = jax.jit(vae.sample, static_argnums=2)(model, x_key, n)
    means = jax.jit(vae.generate)(model, jax.random.normal(z_key, (n, model.n_latent)))
    return [
        judge.distance(judge.of_digits(), view.show(x)[..., None], "VAE", how)
        for x, how in ((drawn, "x ~ p(x|z)"), (means, "the mean of p(x|z)"))
    ]
