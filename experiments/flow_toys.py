# SPDX-License-Identifier: Apache-2.0
"""A neural spline flow on every density of the plane, scored against the exact one in nats.

Command: python -m experiments train flow_toys
Hardware: 2 CPU cores, 8 minutes for seven densities.
Expected: see FACTS below and experiments/README.md.

The flows are alike and learn together, one a density, from fresh draws at every step.
"""

import dataclasses

import optax
from flax import nnx

from experiments import toys_outcome
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, Positive
from experiments.toys_outcome import Family
from jaxml.metrics import Kind
from jaxml.models import flow
from jaxml.nn import elementwise
from jaxml.types import Key, Model

FACTS = Facts(
    "flow",
    "7 densities of the plane",
    "KL(data || model) <= 0.02 nats, 0.05 where edges are sharp",
    8,
)
TINY = {
    "steps": 30,
    "save_every": 15,
    "look_every": 30,
    "width": 8,
    "n_blocks": 1,
    "n_bins": 4,
    "n_test": 500,
    "pixels": 24,
}

FAMILY = Family("flow", Kind.EXACT, flow.log_prob, flow.sample)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of flow_toys."""

    seed: Natural = 0
    """Names the initialization and all draws."""
    steps: Count = 12_000
    """Gradient steps."""
    batch_size: Count = 256
    """Fresh examples of every density a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate at the start; it falls along a cosine to 0 at the last step."""
    n_blocks: Count = 3
    """Autoregressive layers, a learned linear map between them."""
    n_bins: Count = 16
    """Bins of a spline."""
    width: Count = 64
    """Features of the two hidden layers of each network."""
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


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data are drawn."""
    del data_dir

    def make(key: Key) -> Model:
        return flow.autoregressive(
            2,
            config.n_blocks,
            elementwise.spline(config.n_bins),
            widths=(config.width, config.width),
            mix=True,
            rngs=nnx.Rngs(key),
        )

    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate))
    return toys_outcome.experiment(FAMILY, make, flow.loss, optimizer, config)
