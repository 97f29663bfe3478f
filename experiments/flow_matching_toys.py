# SPDX-License-Identifier: Apache-2.0
"""Flow matching on every density of the plane, scored against the exact one in nats.

Command: python -m experiments train flow_matching_toys
Hardware: 2 CPU cores, 15 minutes for seven densities.
Expected: see FACTS below and experiments/README.md.

Straight lines between data and noise, which meet at random or, with `--optimal-transport`, so
that all ways of a batch together are short. The velocity is learned by regression, and the model is
scored by the density of the flow that it makes.
"""

import dataclasses
from functools import partial

import optax
from flax import nnx

from experiments import toys_outcome
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from experiments.toys_outcome import Family
from jaxml.diffusion import FLOW, coupling, grid, heun, points, rectified
from jaxml.metrics import Kind
from jaxml.models import diffusion
from jaxml.nn import TimeMLP
from jaxml.types import Array, Key, Model

FACTS = Facts("diffusion", "7 densities of the plane", "KL(data || model) in nats", 40)
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
    """log q(x) of one model, as a flow; a velocity has no singular time."""
    return diffusion.log_prob(model, x, start=0.0)


def sample(model: Model, key: Key, n: int) -> Array:
    """n draws of one model by 25 steps of Heun."""
    path = points(model.schedule, grid.uniform(25, last=0.0), clean=False)
    return diffusion.sample(model, key, n, solver=heun(), path=path)


FAMILY = Family("flow matching", Kind.EXACT, log_prob, sample, "flow, tolerance 1e-5")


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of flow_matching_toys."""

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
    optimal_transport: bool = False
    """Whether data and noise of a batch are matched by least squares."""
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
            rectified(),
            parameterization=FLOW,
            shape=(2,),
        )

    couple = coupling.optimal_transport if config.optimal_transport else coupling.independent
    loss = partial(diffusion.loss, couple=couple)
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    return toys_outcome.experiment(FAMILY, make, loss, optimizer, config)
