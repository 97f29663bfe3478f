# SPDX-License-Identifier: Apache-2.0
"""A multi-scale RealNVP on MNIST, 256 levels a pixel, scored in bits a dimension.

Command: python -m experiments train realnvp_mnist
Hardware: 2 CPU cores, about 26 minutes.
Expected: see FACTS below and experiments/README.md.

The convolutional form of the paper, checkerboards at 28 x 28 and at 14 x 14 pixels with channel
couplings between them, at a width that trains on two cores. The paper's own size for 32 x 32 images
is `--width 64 --n-blocks 8`.
"""

import dataclasses

from flax import nnx

from experiments import image_flow_outcome
from experiments.experiment import Experiment, Facts
from experiments.images import read
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.models import flow

FACTS = Facts("flow", "MNIST, 256 levels", "1.741 bits/dim", 26)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "batch_size": 16,
    "n_levels": 1,
    "n_blocks": 1,
    "width": 4,
    "n_samples": 2,
    "n_test": 200,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of realnvp_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 4000
    """Gradient steps; 500 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    n_levels: Count = 2
    """Resolutions; each but the last halves the size."""
    width: Count = 16
    """Channels of the residual networks at the finest level; they double below."""
    n_blocks: Count = 2
    """Residual blocks of each network."""
    weight_decay: NonNegative = 0.0
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_samples: Count = 10
    """Draws of noise a test image, for the tighter of the two bounds."""
    n_test: Count = 10_000
    """Test examples that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    images = read("mnist", data_dir, config.n_test)
    net = flow.multiscale_real_nvp(
        (28, 28, 1),
        config.n_levels,
        width=config.width,
        n_blocks=config.n_blocks,
        rngs=nnx.Rngs(config.seed),
    )
    return image_flow_outcome.experiment(flow.Dequantized(net), images, config)
