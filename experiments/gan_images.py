# SPDX-License-Identifier: Apache-2.0
"""What the GANs on MNIST and Fashion-MNIST share: options, two pyramids, data and their judge."""

import dataclasses
from functools import partial
from typing import Any

from flax import nnx

from experiments import judge
from experiments.gan_image_outcome import View
from experiments.images import read
from experiments.options import Count, Decay, Natural, Positive
from jaxml.data import load
from jaxml.models import gan

TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 8,
    "width": 16,
    "n_draws": 100,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a GAN on 28 x 28 images."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 10_000
    """Steps of the generator."""
    batch_size: Count = 64
    """Examples a step."""
    learning_rate: Positive = 4e-4
    """Adam's rate of both players; it falls along a cosine to 0 at the last step."""
    width: Count = 256
    """Features of the fully connected layers; images at 7 x 7 have a quarter as many channels."""
    n_latent: Count = 64
    """Numbers of z."""
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


def networks(options: Options, **more: Any) -> gan.GAN:
    """Two pyramids of two stages; `more` are options of `gan.convolutional`."""
    quarter = max(1, options.width // 4)
    return gan.convolutional(
        (28, 28, 1),
        (max(1, quarter // 2), quarter),
        options.width,
        options.n_latent,
        resize=options.resize,
        rngs=nnx.Rngs(options.seed),
        **more,
    )


def view(name: str, data_dir: str | None, *, labels: bool = False) -> View:
    """The images, with their labels for a conditional model.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    return View(
        read(name, data_dir),
        256,
        partial(judge.of_images, name, data_dir),
        load(name, data_dir)[0]["y"] if labels else None,
    )
