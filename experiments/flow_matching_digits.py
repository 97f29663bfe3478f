# SPDX-License-Identifier: Apache-2.0
"""Flow matching with a U-Net on scikit-learn's 8 x 8 digits, 17 levels a pixel.

Command: python -m experiments train flow_matching_digits
Hardware: 2 CPU cores, about 5 minutes.
Expected: see FACTS below and experiments/README.md.

The network, the number of steps and the evidence are those of `diffusion_digits`; what differs is
the way from noise to data, a straight line, and that every time counts alike. There is no bound of
it: the evidence is the flow's own density.
"""

import dataclasses
from functools import partial

from experiments import digits_unet, image_diffusion_outcome
from experiments.digits_images import digits_images
from experiments.experiment import Experiment, Facts
from jaxml.diffusion import FLOW, coupling, rectified
from jaxml.models import diffusion

FACTS = Facts("diffusion", "digits, 17 levels", "-83.1 +- 0.7 nats", 10)
TINY = digits_unet.TINY


@dataclasses.dataclass(frozen=True)
class Config(digits_unet.Options):
    """The options of flow_matching_digits."""

    optimal_transport: bool = False
    """Whether data and noise of a batch are matched by least squares."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    model = diffusion.Diffusion(
        digits_unet.network(config), rectified(), parameterization=FLOW, shape=(8, 8, 1)
    )
    couple = coupling.optimal_transport if config.optimal_transport else coupling.independent
    return image_diffusion_outcome.experiment(
        model,
        digits_images(config.n_test),
        digits_unet.SCALE,
        partial(diffusion.loss, couple=couple),
        config,
        digits_unet.likeness(config, "flow matching"),
    )
