# SPDX-License-Identifier: Apache-2.0
"""A PixelCNN in PyTorch."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, OF_IMAGES, Work


class Masked(nn.Conv2d):
    """A convolution that sees rows above and pixels to the left."""

    def __init__(self, n_in: int, n_out: int, window: int, *, self_too: bool = True):
        super().__init__(n_in, n_out, window, padding=window // 2)
        order = torch.arange(window**2).view(window, window)
        middle = window**2 // 2
        shown = order <= middle if self_too else order < middle
        self.register_buffer("mask", shown.float().expand_as(self.weight).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution with what the mask shows of the kernel."""
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Block(nn.Module):
    """Three convolutions behind ReLUs, added to their input."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        layers = [Masked(width, half, 1), Masked(half, half, 3), Masked(half, width, 1)]
        self.layers = nn.Sequential(*(part for layer in layers for part in (nn.ReLU(), layer)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output."""
        return x + self.layers(x)


def step(*, variant: str, side: int, n: int, width: int, n_blocks: int) -> Callable[[], None]:
    """One step of Adam on −log p(x) in nats an image."""
    model = nn.Sequential(
        Masked(1, width, 7, self_too=False),
        *(Block(width) for _ in range(n_blocks)),
        nn.ReLU(),
        Masked(width, width, 1),
        nn.ReLU(),
        Masked(width, 1, 1),
    )
    x = (torch.rand(n, 1, side, side) < 0.2).float()
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        cost = functional.binary_cross_entropy_with_logits(model(x), x, reduction="sum")
        return cost / len(x)

    function = torch.compile(loss) if variant == COMPILED else loss

    def update() -> None:
        optimizer.zero_grad()
        function(x).backward()
        optimizer.step()

    return update


CASES = {"PixelCNN": Work(step, OF_IMAGES)}
