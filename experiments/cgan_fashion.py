# SPDX-License-Identifier: Apache-2.0
"""A conditional GAN on Fashion-MNIST, whose critic projects or reads the class.

Command: python -m experiments train cgan_fashion
Hardware: 2 CPU cores, about 15 minutes.
Expected: see FACTS below and experiments/README.md.

The relativistic game with penalties at real and generated data (Huang et al. 2024,
arXiv:2501.05441). The generator reads a class as ten more inputs; the critic multiplies what it
sees with what it expects of the class (Miyato and Koyama 2018, arXiv:1802.05637), or with
`--no-projection` reads it as well (Mirza and Osindero 2014, arXiv:1411.1784). A classifier says how
many draws are of the class that was asked for.
"""

import dataclasses
from functools import partial

from experiments import gan_findings, gan_image_outcome, gan_images, judge
from experiments.experiment import Experiment, Facts
from experiments.options import Count, NonNegative, Positive
from jaxml.data import augment
from jaxml.losses.critic_penalty import zero_centred
from jaxml.models import gan

FACTS = Facts("GAN", "Fashion-MNIST, 256 levels", "89 % of the class asked for", 15)
TINY = gan_images.TINY
findings = gan_findings.findings
AUGMENTED = augment.together(
    partial(augment.brighten, amount=0.25),
    partial(augment.shift, pixels=2, fill=-1.0),
)
"""Small changes of small images; pixels that enter are black."""


@dataclasses.dataclass(frozen=True)
class Config(gan_images.Options):
    """The options of cgan_fashion."""

    steps: Count = 8000
    """Steps of the generator, each after one of the critic."""
    learning_rate: Positive = 5e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    projection: bool = True
    """Whether the critic multiplies what it sees with the class, in place of reading it."""
    attention: bool = False
    """Whether positions of images at 7 x 7 see each other, in both networks."""
    augment: bool = True
    """Whether the critic sees all images augmented."""
    penalty: NonNegative = 1.0
    """Weight of the penalties on the critic's slope at real and at generated data."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `fashion_mnist.npz` in the data directory."""
    model = gan_images.networks(
        config,
        n_context=judge.N_CLASSES,
        projection=config.projection,
        attention=(1,) if config.attention else (),
    )
    seen = AUGMENTED if config.augment else None
    penalty = zero_centred(config.penalty, config.penalty)
    return gan_image_outcome.experiment(
        model,
        gan_images.view("fashion_mnist", data_dir, labels=True),
        partial(gan.critic_loss, penalty=penalty, augment=seen),
        partial(gan.generator_loss, augment=seen),
        config,
    )
