# SPDX-License-Identifier: Apache-2.0
"""A U-Net diffusion model on scikit-learn's 8 x 8 digits, 17 levels a pixel.

Command: python -m experiments train diffusion_digits
Hardware: 2 CPU cores, about 5 minutes.
Expected: see FACTS below and experiments/README.md.

The evidence is a lower bound of a probability mass, in nats as that of `vae_digits` and comparable
to it, and a Fréchet distance of 1000 draws in the features of a small classifier.
"""

import dataclasses

from experiments import digits_unet, image_diffusion_outcome
from experiments.digits_images import digits_images
from experiments.experiment import Experiment, Facts
from experiments.options import Positive
from jaxml.diffusion import V, linear_log_snr
from jaxml.models import diffusion

FACTS = Facts("diffusion", "digits, 17 levels", "Fréchet distance 2.7; -83.4 nats", 8)
TINY = digits_unet.TINY


@dataclasses.dataclass(frozen=True)
class Config(digits_unet.Options):
    """The options of diffusion_digits."""

    most_noise: Positive = 9.0
    """How far below 0 the log-SNR is where the most noise is."""
    least_noise: Positive = 9.0
    """Log-SNR where the least noise is."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    model = diffusion.Diffusion(
        digits_unet.network(config),
        linear_log_snr(-config.most_noise, config.least_noise),
        parameterization=V,
        shape=(8, 8, 1),
    )
    return image_diffusion_outcome.experiment(
        model,
        digits_images(config.n_test),
        digits_unet.SCALE,
        diffusion.bound_loss,
        config,
        digits_unet.likeness(config, "diffusion"),
    )
