# SPDX-License-Identifier: Apache-2.0
"""What the two U-Nets on 8 x 8 digits share: network, options and the distance of draws."""

import dataclasses
from collections.abc import Callable

from flax import nnx

from experiments import image_diffusion_outcome, judge, pixel_scale
from experiments.digits_images import LEVELS
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.metrics import Evidence
from jaxml.nn import FourierInput, UNet
from jaxml.types import Key, Model

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
SCALE = pixel_scale.centred(LEVELS)


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a U-Net on digits."""

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


def network(options: Options) -> FourierInput:
    """The U-Net, which reads each pixel and four waves of it."""
    net = UNet(
        (8, 8, 5),
        options.width,
        multipliers=(1, 2, 2)[: options.n_levels],
        n_blocks=1,
        attention=(options.n_levels - 1,),
        n_out=1,
        fastest=30.0,  # what a solver follows should not be rough in t
        rngs=nnx.Rngs(options.seed),
    )
    return FourierInput(net, powers=(3, 4))


def likeness(options: Options, name: str) -> Callable[[Model, Key], list[Evidence]]:
    """How far draws of a model are from the test images, under the family's name."""

    def measure(model: Model, key: Key) -> list[Evidence]:
        x = image_diffusion_outcome.draws(model, key, options.n_draws, SCALE)
        how = f"{image_diffusion_outcome.N_STEPS + 1} evaluations of the network"
        return [
            judge.distance(judge.of_digits(), x / (SCALE.levels - 1), name, how),
            judge.memory(judge.of_digits()),
        ]

    return measure
