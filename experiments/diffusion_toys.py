# SPDX-License-Identifier: Apache-2.0
"""A diffusion model of every density of the plane, scored against the exact one in nats.

Command: python -m experiments train diffusion_toys
Hardware: 2 CPU cores, about half an hour for seven densities.
Expected: see FACTS below and experiments/README.md.

Trained on the bound of log p, in continuous time; scored by the density that the model has as a
flow, by an equation solved to a tolerance of 1e-5. The models learn together, one a density, from
fresh draws at every step.
"""

import dataclasses

import optax
from flax import nnx

from experiments import toys_outcome
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from experiments.toys_outcome import Family
from jaxml.diffusion import V, dpm_plus_plus, grid, linear_log_snr, points
from jaxml.metrics import Kind
from jaxml.models import diffusion
from jaxml.nn import TimeMLP
from jaxml.types import Array, Key, Model

FACTS = Facts(
    "diffusion", "7 densities of the plane", "KL(data || model) <= 0.02 nats, 0.1 at edges", 30
)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "width": 8,
    "n_blocks": 1,
    "n_test": 100,
    "pixels": 12,
}


def log_prob(model: Model, x: Array) -> Array:
    """log q(x) of one model, as a flow, from the least noise on."""
    return diffusion.log_prob(model, x, start=0.0)


def sample(model: Model, key: Key, n: int) -> Array:
    """n draws of one model by 50 steps of a solver of second order."""
    path = points(model.schedule, grid.uniform(50, last=0.0))
    return diffusion.sample(model, key, n, solver=dpm_plus_plus(2), path=path)


FAMILY = Family(
    "diffusion", Kind.EXACT, log_prob, sample, "probability flow, tolerance 1e-5, least noise kept"
)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_toys."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    steps: Count = 15_000
    """Gradient steps."""
    batch_size: Count = 512
    """Fresh examples of every density a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    width: Count = 96
    """Features of the network's blocks."""
    n_blocks: Count = 3
    """Blocks of the network."""
    least: Positive = 10.0
    """Log-SNR where the least noise is; where the most is, it is as far below 0."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_test: Count = 20_000
    """Draws of each density over which the divergence is the mean."""
    pixels: Count = 80
    """Of a picture's side."""
    save_every: Count = 1500
    """Steps between checkpoints."""
    look_every: Count = 5000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir

    def make(key: Key) -> Model:
        return diffusion.Diffusion(
            TimeMLP(2, config.width, config.n_blocks, rngs=nnx.Rngs(key)),
            linear_log_snr(-config.least, config.least),
            parameterization=V,
            shape=(2,),
        )

    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    return toys_outcome.experiment(FAMILY, make, diffusion.bound_loss, optimizer, config)
