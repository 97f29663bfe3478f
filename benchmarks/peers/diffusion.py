# SPDX-License-Identifier: Apache-2.0
"""The U-Net of denoising-diffusion-pytorch, where it is installed."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, EAGER, Work


def built(
    variant: str, side: int, width: int, multipliers: Sequence[int], n_steps: int = 50
) -> tuple[Any, torch.memory_format]:
    """The diffusion with its network, and how images lie in memory."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    layout = torch.channels_last if variant != EAGER else torch.contiguous_format
    network = Unet(dim=width, dim_mults=tuple(multipliers), channels=3).to(memory_format=layout)
    if variant == COMPILED:
        network.forward = torch.compile(network.forward)
    model = GaussianDiffusion(
        network, image_size=side, timesteps=1000, sampling_timesteps=n_steps, objective="pred_v"
    )
    return model, layout


def training(*, variant: str, batch: int, **sizes: Any) -> Callable[[], None]:
    """A step of Adam on the mean square of v's error."""
    model, layout = built(variant, **sizes)
    x = torch.rand(batch, 3, sizes["side"], sizes["side"]).to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def update() -> None:
        optimizer.zero_grad()
        model(x).backward()
        optimizer.step()

    return update


def sampling(*, variant: str, batch: int, **sizes: Any) -> Callable[[], Any]:
    """Images by DDIM, whose bar of progress is kept quiet."""
    from denoising_diffusion_pytorch import denoising_diffusion_pytorch as module

    module.tqdm = lambda steps, **options: steps
    model, _ = built(variant, **sizes)
    return lambda: model.sample(batch_size=batch)


PRESENT = (EAGER, CHANNELS_LAST, COMPILED) if find_spec("denoising_diffusion_pytorch") else ()
CASES = {
    "step of U-Net": Work(training, PRESENT),
    "sampling of U-Net": Work(sampling, PRESENT),
}
