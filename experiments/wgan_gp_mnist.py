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

from flax import nnx

from experiments import gan_findings, gan_image_outcome, judge
from experiments.experiment import Experiment, Facts
from experiments.images import read
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.losses import adversarial
from jaxml.losses.critic_penalty import interpolated
from jaxml.models import gan

FACTS = Facts("GAN", "MNIST, 256 levels", "to be measured", 20)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 16,
    "n_draws": 100,
}
findings = partial(gan_findings.findings, judge_lead=False)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of wgan_gp_mnist."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 3000
    """Steps of the generator, each after `n_critic` of the critic."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 3e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    width: Count = 256
    """Features of the fully connected layers; images at 7 x 7 have a quarter as many channels."""
    n_latent: Count = 64
    """Numbers of z."""
    n_critic: Count = 5
    """Steps of the critic for one of the generator."""
    penalty: NonNegative = 10.0
    """Weight of the penalty on slopes other than 1."""
    resize: bool = False
    """Whether the generator repeats pixels, in place of transposed convolutions."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_draws: Count = 5000
    """Draws that are judged."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `mnist.npz` in the data directory."""
    quarter = max(1, config.width // 4)
    model = gan.convolutional(
        (28, 28, 1),
        (max(1, quarter // 2), quarter),
        config.width,
        config.n_latent,
        resize=config.resize,
        rngs=nnx.Rngs(config.seed),
    )
    game = adversarial.wasserstein()
    return gan_image_outcome.experiment(
        model,
        gan_image_outcome.View(
            read("mnist", data_dir), 256, partial(judge.of_images, "mnist", data_dir)
        ),
        partial(gan.critic_loss, game=game, penalty=interpolated(config.penalty)),
        partial(gan.generator_loss, game=game),
        config,
        n_critic=config.n_critic,
        b2=0.9,
    )
