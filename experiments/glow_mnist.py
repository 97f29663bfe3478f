# SPDX-License-Identifier: Apache-2.0
"""A small Glow on MNIST, 256 levels a pixel, scored in bits a dimension.

Command: python -m experiments train glow_mnist
         python -m experiments train glow_mnist --variational --run-dir runs/glow_variational
Hardware: 2 CPU cores, about 45 minutes.
Expected: see FACTS below and experiments/README.md.

Two levels at 14 x 14 and 7 x 7 pixels. Couplings are rational-quadratic splines: dequantized
pixels have edges, which affine couplings only round off; `--n-bins 0` makes them affine. Published
flows with thousands of epochs on GPUs: RealNVP 1.06 and Glow 1.05 bits/dim (Grathwohl et al. 2019,
Table 2, arXiv:1810.01367).
"""

import dataclasses

from flax import nnx

from experiments import image_flow_outcome
from experiments.experiment import Experiment, Facts
from experiments.images import read
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.bijections import Limit
from jaxml.models import flow
from jaxml.nn import elementwise

FACTS = Facts("flow", "MNIST, 256 levels", "1.135 bits/dim, uniform dequantization", 43)
TINY = {
    "steps": 20,
    "save_every": 10,
    "look_every": 20,
    "batch_size": 16,
    "n_steps": 1,
    "width": 8,
    "n_bins": 3,
    "n_samples": 2,
    "n_test": 200,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of glow_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 6000
    """Gradient steps; 500 of them are one epoch at the default batch size."""
    batch_size: Count = 100
    """Examples a step."""
    learning_rate: Positive = 2e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    n_steps: Count = 8
    """Steps of flow at each of the two levels."""
    width: Count = 64
    """Channels of the two hidden layers of each network."""
    n_bins: Natural = 4
    """Bins of a spline; 0 makes the couplings affine."""
    last: Count = 1
    """Taps a side of the last convolution of each network."""
    variational: bool = False
    """Learn the noise of dequantization instead of drawing it uniformly."""
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
    rngs, shape = nnx.Rngs(config.seed), (28, 28, 1)
    kind = elementwise.spline(config.n_bins, Limit(-4.0, 4.0)) if config.n_bins else None
    model = flow.Dequantized(
        flow.glow(
            shape,
            config.n_steps,
            2,
            width=config.width,
            elementwise=kind,
            last=config.last,
            rngs=rngs,
        ),
        flow.noise(shape, width=32, n_context=1, rngs=rngs) if config.variational else None,
    )
    return image_flow_outcome.experiment(model, images, config)
