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

from flax import nnx

from experiments import gan_findings, gan_image_outcome, judge
from experiments.experiment import Experiment, Facts
from experiments.images import read
from experiments.options import Count, Decay, Natural, Positive
from jaxml.losses import adversarial
from jaxml.models import gan

FACTS = Facts("GAN", "Fashion-MNIST, 256 levels", "to be measured", 12)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 16,
    "n_draws": 100,
}
findings = gan_findings.findings


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of sngan_fashion."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 10_000
    """Steps of the generator, each after one of the critic."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 4e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    width: Count = 256
    """Features of the fully connected layers; images at 7 x 7 have a quarter as many channels."""
    n_latent: Count = 64
    """Numbers of z."""
    attention: bool = False
    """Whether positions of images at 7 x 7 see each other, in both networks."""
    resize: bool = False
    """Whether the generator repeats pixels, in place of transposed convolutions."""
    decay: Decay = 0.999
    """Of the average of the weights that is evaluated."""
    n_draws: Count = 5000
    """Draws that are judged."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 1000
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from `fashion_mnist.npz` in the data directory."""
    quarter = max(1, config.width // 4)
    model = gan.convolutional(
        (28, 28, 1),
        (max(1, quarter // 2), quarter),
        config.width,
        config.n_latent,
        attention=(1,) if config.attention else (),
        resize=config.resize,
        spectral_critic=True,
        rngs=nnx.Rngs(config.seed),
    )
    view = gan_image_outcome.View(
        read("fashion_mnist", data_dir),
        256,
        partial(judge.of_images, "fashion_mnist", data_dir),
    )
    game = adversarial.hinge()
    return gan_image_outcome.experiment(
        model,
        view,
        partial(gan.critic_loss, game=game),
        partial(gan.generator_loss, game=game),
        config,
    )
