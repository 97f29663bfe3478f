# SPDX-License-Identifier: Apache-2.0
"""A U-Net diffusion model on scikit-learn's 8 x 8 digits, 17 levels a pixel.

Command: python -m experiments train diffusion_digits
Hardware: 2 CPU cores, about 5 minutes.
Expected: see FACTS below and experiments/README.md.

The evidence is a lower bound of a probability mass, in nats as that of `vae_digits` and comparable
to it, and a Fréchet distance of 1000 draws in the features of a small classifier.
"""

import dataclasses

import numpy as np
from flax import nnx

from experiments import digits_features, image_diffusion_outcome
from experiments.experiment import Experiment, Facts
from experiments.image_flow_outcome import Images
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import digits, sha256
from jaxml.diffusion import V, linear_log_snr
from jaxml.metrics import Evidence
from jaxml.models import diffusion
from jaxml.nn import FourierInput, UNet
from jaxml.types import Key, Model

FACTS = Facts("diffusion", "digits, 17 levels", "Fréchet distance 2.2; -83.9 nats", 8)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 8,
    "n_levels": 1,
    "n_draws": 100,
    "n_test": 50,
}
LEVELS = 17


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_digits."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 2000
    """Gradient steps; 20 of them are one epoch at the default batch size."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 1e-3
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    width: Count = 48
    """Channels at 8 x 8 positions; twice as many below."""
    n_levels: Count = 2
    """Resolutions, at most 3."""
    most_noise: Positive = 9.0
    """How far below 0 the log-SNR is where the most noise is."""
    least_noise: Positive = 9.0
    """Log-SNR where the least noise is."""
    weight_decay: NonNegative = 0.1
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.995
    """Of the average of the weights that is evaluated."""
    n_draws: Count = 1000
    """Draws for the Fréchet distance."""
    n_test: Count = 297
    """Test examples whose likelihood is evaluated, from the first."""
    save_every: Count = 500
    """Steps between checkpoints."""
    look_every: Count = 500
    """Steps between pictures and validations."""


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration; the data come with scikit-learn."""
    del data_dir
    parts = (np.rint(16 * part["x"]).astype(np.uint8).reshape(-1, 8, 8, 1) for part in digits())
    train, valid, test = parts
    test = test[: config.n_test]
    split = "test" if len(test) == 297 else f"test, first {len(test)}"
    protocol = {"data": "digits", "split": split, "levels": LEVELS, "sha256": sha256(test)}
    net = UNet(
        (8, 8, 5),
        config.width,
        multipliers=(1, 2, 2)[: config.n_levels],
        n_blocks=1,
        attention=(config.n_levels - 1,),
        n_out=1,
        fastest=30.0,  # what a solver follows should not be rough in t
        rngs=nnx.Rngs(config.seed),
    )
    model = diffusion.Diffusion(
        FourierInput(net, powers=(3, 4)),
        linear_log_snr(-config.most_noise, config.least_noise),
        parameterization=V,
        shape=(8, 8, 1),
    )

    def likeness(model: Model, key: Key) -> list[Evidence]:
        x = image_diffusion_outcome.draws(model, key, config.n_draws, LEVELS)
        how = f"{image_diffusion_outcome.N_STEPS + 1} evaluations of the network"
        return [
            digits_features.distance(x / (LEVELS - 1), "diffusion", how),
            digits_features.memory(),
        ]

    images = Images(train, valid, test, protocol)
    return image_diffusion_outcome.experiment(
        model, images, LEVELS, diffusion.bound_loss, config, likeness
    )
