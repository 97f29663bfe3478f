# SPDX-License-Identifier: Apache-2.0
"""A convolutional GAN on scikit-learn's 8 x 8 digits, 17 levels a pixel.

Command: python -m experiments train dcgan_digits
Hardware: 2 CPU cores, about 4 minutes.
Expected: see FACTS below and experiments/README.md.

The relativistic game with penalties at real and generated data (Huang et al. 2024,
arXiv:2501.05441), or with `--game` one of the older ones. A GAN has no likelihood: it is judged by
a Fréchet distance in the features of a small classifier, by the classes that the classifier sees in
its draws, and by how many of them are copies of training images.
"""

import dataclasses
from functools import partial
from typing import Literal

from flax import nnx

from experiments import gan_findings, gan_image_outcome, judge
from experiments.digits_images import LEVELS, digits_images
from experiments.experiment import Experiment, Facts
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import augment
from jaxml.losses import adversarial
from jaxml.losses.critic_penalty import zero_centred
from jaxml.models import gan

FACTS = Facts("GAN", "digits, 17 levels", "Fréchet distance 2.0; ten classes", 4)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 16,
    "n_draws": 100,
}
findings = gan_findings.findings
AUGMENTED = augment.together(
    partial(augment.brighten, amount=0.25),
    partial(augment.contrast, amount=0.25),
    partial(augment.shift, pixels=1, fill=-1.0),
)
"""Small changes of small images; pixels that enter are black."""
GAMES = {
    "relativistic": adversarial.relativistic(),
    "non_saturating": adversarial.non_saturating(),
    "hinge": adversarial.hinge(),
    "least_squares": adversarial.least_squares(),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of dcgan_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    game: Literal["relativistic", "non_saturating", "hinge", "least_squares"] = "relativistic"
    """What the two players pay."""
    steps: Count = 10_000
    """Steps of the generator, each after one of the critic; 20 of them are one epoch."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 5e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    width: Count = 128
    """Features of the fully connected layers; images at 4 x 4 have half as many channels."""
    n_latent: Count = 16
    """Numbers of z."""
    resize: bool = False
    """Whether the generator repeats pixels, in place of transposed convolutions."""
    spectral: bool = False
    """Whether the critic is under spectral normalization."""
    augment: bool = True
    """Whether the critic sees all images augmented, since there are few of them."""
    penalty: NonNegative = 1.0
    """Weight of the penalties on the critic's slope at real and at generated data."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_draws: Count = 1000
    """Draws that are judged."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 2000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    half = max(1, config.width // 2)
    model = gan.convolutional(
        (8, 8, 1),
        (half, 2 * half),
        config.width,
        config.n_latent,
        resize=config.resize,
        spectral_critic=config.spectral,
        rngs=nnx.Rngs(config.seed),
    )
    game = GAMES[config.game]
    seen = AUGMENTED if config.augment else None
    return gan_image_outcome.experiment(
        model,
        gan_image_outcome.View(digits_images(), LEVELS, judge.of_digits),
        partial(
            gan.critic_loss,
            game=game,
            penalty=zero_centred(config.penalty, config.penalty),
            augment=seen,
        ),
        partial(gan.generator_loss, game=game, augment=seen),
        config,
    )
