# SPDX-License-Identifier: Apache-2.0
"""A GAN on Fashion-MNIST whose critic is held by spectral normalization alone.

Command: python -m experiments train sngan_fashion
Hardware: 2 CPU cores, about 12 minutes.
Expected: see FACTS below and experiments/README.md.

The hinge game of Miyato et al. 2018, arXiv:1802.05957: every layer of the critic has gain 1, and
nothing is paid for slopes. With `--attention` positions of images at 7 x 7 see each other in both
networks, as in Zhang et al. 2019, arXiv:1805.08318.
"""

import dataclasses
from functools import partial

from experiments import gan_findings, gan_image_outcome, gan_images
from experiments.experiment import Experiment, Facts
from jaxml.losses import adversarial
from jaxml.models import gan

FACTS = Facts("GAN", "Fashion-MNIST, 256 levels", "Fréchet distance 6.1; ten classes", 14)
TINY = gan_images.TINY
findings = gan_findings.findings


@dataclasses.dataclass(frozen=True)
class Config(gan_images.Options):
    """The options of sngan_fashion."""

    attention: bool = False
    """Whether positions of images at 7 x 7 see each other, in both networks."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `fashion_mnist.npz` in the data directory."""
    model = gan_images.networks(
        config, attention=(1,) if config.attention else (), spectral_critic=True
    )
    game = adversarial.hinge()
    return gan_image_outcome.experiment(
        model,
        gan_images.view("fashion_mnist", data_dir),
        partial(gan.critic_loss, game=game),
        partial(gan.generator_loss, game=game),
        config,
    )
