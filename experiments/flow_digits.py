# SPDX-License-Identifier: Apache-2.0
"""A small Glow on scikit-learn's 8 x 8 digits, 17 levels a pixel.

Command: python -m experiments train flow_digits
Hardware: 2 CPU cores, a few minutes.
Expected: see FACTS below and experiments/README.md.

The evidence is a lower bound of a probability mass, in nats as that of `vae_digits` and comparable
to it (`python -m experiments compare`). With 1200 training images the flow would learn them by
heart: the weights decay, and training ends early.
"""

import dataclasses

from flax import nnx

from experiments import image_flow_outcome
from experiments.digits_images import LEVELS, digits_images
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.bijections import Limit
from jaxml.models import flow
from jaxml.nn import elementwise

FACTS = Facts("flow", "digits, 17 levels", "-81.3 nats", 3)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "batch_size": 16,
    "n_steps": 1,
    "width": 8,
    "n_bins": 3,
    "n_samples": 2,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of flow_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 1500
    """Gradient steps; 12 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    n_steps: Count = 4
    """Steps of flow at each of the two levels."""
    width: Count = 64
    """Channels of the two hidden layers of each network."""
    n_bins: Natural = 8
    """Bins of a spline; 0 makes the couplings affine."""
    weight_decay: NonNegative = 0.5
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.99
    """Of the average of the weights that is evaluated."""
    n_samples: Count = 100
    """Draws of noise a test image, for the tighter of the two bounds."""
    save_every: Count = 250
    """Steps between checkpoints."""
    look_every: Count = 250
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    kind = elementwise.spline(config.n_bins, Limit(-4.0, 4.0)) if config.n_bins else None
    model = flow.glow(
        (8, 8, 1),
        config.n_steps,
        2,
        width=config.width,
        elementwise=kind,
        rngs=nnx.Rngs(config.seed),
    )
    dequantized = flow.Dequantized(model, levels=LEVELS)
    return image_flow_outcome.experiment(dequantized, digits_images(), config)
