# SPDX-License-Identifier: Apache-2.0
"""A diffusion model of a published size on CIFAR-10, with the preconditioning of EDM.

Command: python -m experiments train diffusion_cifar
Hardware: an accelerator; on a CPU a step takes minutes, and `--tiny` shows that everything works.
Expected: see FACTS below and experiments/README.md.

The U-Net of DDPM on CIFAR-10 (35.7 million parameters), or with `--transformer True` a DiT-S/2
(32.5 million); log-normal noise levels between 0.002 and 80 (Karras et al. 2022, arXiv:2206.00364).
The data directory holds 8000 images of the data set; the published numbers are of 50,000.
"""

import dataclasses
from functools import partial

from flax import nnx

from experiments import image_diffusion_outcome, pixel_scale
from experiments.experiment import Experiment, Facts
from experiments.images import Images
from experiments.options import Count, Decay, Natural, NonNegative, Positive
from jaxml.data import load, sha256
from jaxml.diffusion import edm, preconditioned, times
from jaxml.models import diffusion
from jaxml.nn import DiT, UNet
from jaxml.nn.dit import S
from jaxml.types import Model

FACTS = Facts("diffusion", "CIFAR-10, 256 levels", "not measured: made for accelerators", 3000)
TINY = {
    "steps": 4,
    "save_every": 2,
    "look_every": 4,
    "batch_size": 4,
    "width": 8,
    "n_blocks": 1,
    "n_test": 2,
}
SCALE = pixel_scale.centred(256)
SHAPE = (32, 32, 3)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of diffusion_cifar."""

    seed: Natural = 0
    """Names the initialization, the order of the data and all noise."""
    steps: Count = 100_000
    """Gradient steps."""
    batch_size: Count = 128
    """Examples a step."""
    learning_rate: Positive = 2e-4
    """Adam's rate after 200 steps of warm-up; it falls along a cosine to 0 at the last step."""
    transformer: bool = False
    """Whether the network is a DiT-S/2, whose size is fixed."""
    width: Count = 128
    """Channels of the U-Net at 32 x 32 positions; twice as many below."""
    n_blocks: Count = 2
    """Residual blocks of a level on the way down; one more on the way up."""
    sigma_data: Positive = 0.5
    """Standard deviation of the data, for the preconditioning."""
    weight_decay: NonNegative = 0.0
    """Decoupled, per unit of learning rate."""
    decay: Decay = 0.9999
    """Of the average of the weights that is evaluated."""
    n_test: Count = 500
    """Test examples that are evaluated, from the first."""
    save_every: Count = 1000
    """Steps between checkpoints."""
    look_every: Count = 5000
    """Steps between pictures and validations."""


def network(config: Config) -> Model:
    """The denoising network of a configuration."""
    rngs = nnx.Rngs(config.seed)
    if config.transformer:
        return DiT(SHAPE, 2, **S, rngs=rngs)
    return UNet(SHAPE, config.width, n_blocks=config.n_blocks, scale=False, rngs=rngs)


def model(config: Config) -> Model:
    """The diffusion model of a configuration."""
    kind = preconditioned(config.sigma_data)
    return diffusion.Diffusion(network(config), edm(), parameterization=kind, shape=SHAPE)


LOSS = partial(diffusion.loss, times=times.log_normal(edm()))


def build(config: Config, data_dir: str | None) -> Experiment:
    """The experiment of a configuration, from the CIFAR-10 file of the data directory."""
    train, valid, test = (part["x"] for part in load("cifar10", data_dir))
    test = test[: config.n_test]
    protocol = {
        "data": "CIFAR-10",
        "split": f"test, first {len(test)}",
        "levels of intensity": SCALE.levels,
        "sha256": sha256(test.reshape(len(test), -1)),
    }
    images = Images(train, valid, test, protocol)
    return image_diffusion_outcome.experiment(model(config), images, SCALE, LOSS, config)
