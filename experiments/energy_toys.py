# SPDX-License-Identifier: Apache-2.0
"""An energy of every density of the plane, normalized on a grid and scored against the exact one.

Command: python -m experiments train energy_toys [--method persistent]
Hardware: 2 CPU cores, about 2 minutes.
Expected: see FACTS below and experiments/README.md.

No method sees log Z: noise contrast learns it, score matching does without, and chains that live on
stand for draws of the model. What has been learned is then normalized by a sum over 256 x 256
points, and its divergence from the exact density measured in nats.
"""

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments import energy_plane, toys_outcome
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from experiments.toys_outcome import Family
from jaxml.metrics import Kind
from jaxml.models import energy
from jaxml.nn import MLP
from jaxml.training import descend
from jaxml.types import Array, Key, Loss, Model

FACTS = Facts("energy", "7 densities of the plane", "KL 0.0012 nats on eight Gaussians", 2)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "width": 8,
    "batch_size": 32,
    "n_test": 200,
    "pixels": 16,
}
WIDTH = 1.3  # standard deviation of the noise and of the energy's base, in units of SCALE


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of energy_toys."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    method: Literal["noise_contrast", "denoising", "sliced", "persistent"] = "noise_contrast"
    """What is learned from: known noise, noisy data, slopes, or chains."""
    steps: Count = 10_000
    """Gradient steps."""
    batch_size: Count = 512
    """Fresh examples of every density a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    width: Count = 128
    """Features of the three hidden layers."""
    sigma: Positive = 0.1
    """Of the noise on data for the method `denoising`; what is learned is the density under it."""
    n_walk: Count = 20
    """Langevin steps of a chain for one gradient step of the method `persistent`."""
    step_size: Positive = 0.002
    """Of those steps; with their noise, uncorrected."""
    buffer: Count = 8192
    """Chains that live on."""
    decay: Decay = 0.995
    """Of the average of the weights that is evaluated."""
    n_test: Count = 100_000
    """Draws of each density over which the divergence is the mean."""
    pixels: Count = 120
    """Of a picture's side."""
    save_every: Count = 2000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


FAMILY = Family(
    "energy", Kind.EXACT, energy.log_density, energy_plane.sample, "sum over a grid of the plane"
)


def noise() -> energy.Noise:
    """N(0, s² I), somewhat wider than the data."""

    def log_prob(x: Array) -> Array:
        return -0.5 * jnp.sum(jnp.square(x / WIDTH), axis=1) - np.log(2 * np.pi * WIDTH**2)

    return energy.Noise(log_prob, lambda key, n: WIDTH * jax.random.normal(key, (n, 2)))


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate))
    losses: dict[str, Loss] = {
        "noise_contrast": partial(energy.noise_contrastive_loss, noise=noise()),
        "denoising": partial(energy.denoising_loss, sigma=config.sigma),
        "sliced": energy.sliced_loss,
        "persistent": partial(energy.contrastive_loss, alpha=0.0),
    }
    learn = descend(losses[config.method], optimizer)
    if config.method == "persistent":
        walk = partial(
            energy.langevin,
            n_steps=config.n_walk,
            step_size=config.step_size,
            noise=None,
            clip=None,
            bounds=None,
        )
        learn = energy.rule(learn, walk, noise().sample, size=config.buffer)

    def make(key: Key) -> Model:
        net = MLP(2, (config.width,) * 3, 1, rngs=nnx.Rngs(key))
        return energy.EnergyModel(net, scale=WIDTH)

    experiment = toys_outcome.with_rule(FAMILY, make, learn, config)
    average = experiment.learned
    normalize = jax.jit(jax.vmap(energy_plane.normalized))
    return experiment._replace(learned=lambda model, state: normalize(average(model, state)))
