# SPDX-License-Identifier: Apache-2.0
"""Contrastive divergence in PyTorch."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from benchmarks.peers.family import downward
from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, OF_IMAGES, Work


def step(
    *, variant: str, n: int, width: int, channels: Sequence[int], n_walk: int
) -> Callable[[], None]:
    """Langevin chains from the data, then one step of Adam."""
    model = nn.Sequential(*downward(channels, width, 1))
    x = 2 * torch.rand(n, 1, 28, 28) - 1
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    energy = torch.compile(model) if variant == COMPILED else model

    def walked(x: torch.Tensor) -> torch.Tensor:
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for _ in range(n_walk):
            x = (x + 0.005 * torch.randn_like(x)).clamp_(-1, 1).requires_grad_()
            (slope,) = torch.autograd.grad(energy(x).sum(), x)
            x = (x.detach() - 10 * slope.clamp(-0.03, 0.03)).clamp_(-1, 1)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return x

    def update() -> None:
        fake = walked(x)
        optimizer.zero_grad()
        real_energy, fake_energy = energy(x), energy(fake)
        size = (real_energy**2 + fake_energy**2).mean()
        ((real_energy - fake_energy).mean() + 0.1 * size).backward()
        optimizer.step()

    return update


CASES = {"contrastive divergence": Work(step, OF_IMAGES)}
