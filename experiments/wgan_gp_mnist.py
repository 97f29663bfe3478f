# SPDX-License-Identifier: Apache-2.0
"""A Wasserstein GAN with gradient penalty on MNIST.

Command: python -m experiments train wgan_gp_mnist
Hardware: 2 CPU cores, about 20 minutes.
Expected: see FACTS below and experiments/README.md.

A critic without normalization makes five steps for one of the generator, each on a fresh batch, and
pays for slopes other than 1 between real and generated images (Gulrajani et al. 2017,
arXiv:1704.00028). Its margin estimates a distance, and should fall as draws get better: the report
says how much it did.
"""

import dataclasses
from functools import partial

from experiments import gan_findings, gan_image_outcome, gan_images
from experiments.experiment import Experiment, Facts
from experiments.options import Count, NonNegative, Positive
from jaxml.losses import adversarial
from jaxml.losses.critic_penalty import interpolated
from jaxml.models import gan

FACTS = Facts("GAN", "MNIST, 256 levels", "Fréchet distance 59.3; ten classes", 22)
TINY = gan_images.TINY
findings = partial(gan_findings.findings, judge_lead=False)


@dataclasses.dataclass(frozen=True)
class Config(gan_images.Options):
    """The options of wgan_gp_mnist."""

    steps: Count = 3000
    """Steps of the generator, each after `n_critic` of the critic."""
    learning_rate: Positive = 3e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    n_critic: Count = 5
    """Steps of the critic for one of the generator."""
    penalty: NonNegative = 10.0
    """Weight of the penalty on slopes other than 1."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    game = adversarial.wasserstein()
    return gan_image_outcome.experiment(
        gan_images.networks(config),
        gan_images.view("mnist", data_dir),
        partial(gan.critic_loss, game=game, penalty=interpolated(config.penalty)),
        partial(gan.generator_loss, game=game),
        config,
        n_critic=config.n_critic,
        b2=0.9,
    )
