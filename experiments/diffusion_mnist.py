# SPDX-License-Identifier: Apache-2.0
"""A U-Net diffusion model on MNIST, 256 levels a pixel, scored in bits a dimension.

Command: python -m experiments train diffusion_mnist
Hardware: 2 CPU cores, about 45 minutes.
Expected: see FACTS below and experiments/README.md.

Trained on the variational bound in continuous time (Kingma et al. 2021, arXiv:2107.00630): equal
weight for every log-SNR. The network sees the logits of intensities, on whose scale black pixels
are as wide as all others, and reads squares of 2 x 2 pixels as channels.
"""

import dataclasses

from flax import nnx

from experiments import image_diffusion_outcome, pixel_scale
from experiments.experiment import Experiment, Facts
from experiments.images import read
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.diffusion import V, linear_log_snr
from jaxml.models import diffusion
from jaxml.nn import UNet, Unshuffled

FACTS = Facts("diffusion", "MNIST, 256 levels", "1.207 +- 0.013 bits/dim", 45)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 8,
    "n_levels": 1,
    "n_test": 4,
}
SCALE = pixel_scale.logits(256)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 5000
    """Gradient steps; 782 of them are one epoch at the default batch size."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    width: Count = 32
    """Channels at 14 x 14 positions; twice as many at 7 x 7."""
    n_levels: Count = 2
    """Resolutions, at most 2."""
    n_blocks: Count = 1
    """Residual blocks of a level on the way down; one more on the way up."""
    most_noise: Positive = 9.0
    """How far below 0 the log-SNR is where the most noise is."""
    least_noise: Positive = 9.0
    """Log-SNR where the least noise is."""
    weight_decay: NonNegative = 0.0
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.998
    """Of the average of the weights that is evaluated."""
    n_test: Count = 500
    """Test examples that are evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    images = read("mnist", data_dir, config.n_test)
    net = UNet(
        (14, 14, 4),
        config.width,
        multipliers=(1, 2)[: config.n_levels],
        n_blocks=config.n_blocks,
        attention=(config.n_levels - 1,),
        n_out=4,
        fastest=30.0,  # what a solver follows should not be rough in t
        rngs=nnx.Rngs(config.seed),
    )
    model = diffusion.Diffusion(
        Unshuffled(net),
        linear_log_snr(-config.most_noise, config.least_noise),
        parameterization=V,
        shape=(28, 28, 1),
    )
    return image_diffusion_outcome.experiment(model, images, SCALE, diffusion.bound_loss, config)
