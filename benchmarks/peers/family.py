# SPDX-License-Identifier: Apache-2.0
"""Training steps of whole models in PyTorch."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, OF_IMAGES, OF_VECTORS, Work


def vae_step(
    encoder: nn.Module, decoder: nn.Module, x: torch.Tensor, n_latent: int, variant: str
) -> Callable[[], Any]:
    """One step of Adam on the negative ELBO with a Bernoulli decoder."""
    modules = nn.ModuleList([encoder, decoder])
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        modules = modules.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(modules.parameters(), 1e-3, fused=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        mean, log_variance = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn(len(x), n_latent)
        cost = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (cost + divergence) / len(x)

    function = torch.compile(loss) if variant == COMPILED else loss

    def step() -> None:
        optimizer.zero_grad()
        function(x).backward()
        optimizer.step()

    return step


def mlp_vae(*, variant: str, n: int, width: int, n_latent: int):
    """784-width-width-latent and back."""

    def network(*sizes: int) -> nn.Module:
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.SiLU()]
        return nn.Sequential(*layers[:-1])

    encoder = network(784, width, width, 2 * n_latent)
    decoder = network(n_latent, width, width, 784)
    return vae_step(encoder, decoder, (torch.rand(n, 784) < 0.2).float(), n_latent, variant)


def conv_vae(*, variant: str, n: int, channels: Sequence[int], width: int, n_latent: int):
    """28x28: two convolutions 4x4 with stride 2, a hidden layer, and back."""
    encoder = nn.Sequential(*downward(channels, width, 2 * n_latent))
    decoder = nn.Sequential(*upward(channels, width, n_latent))
    x = (torch.rand(n, 1, 28, 28) < 0.2).float()
    return vae_step(encoder, decoder, x, n_latent, variant)


def downward(channels: Sequence[int], width: int, n_out: int) -> list[nn.Module]:
    """28x28 to numbers."""
    a, b = channels
    return [
        nn.Conv2d(1, a, 4, 2, 1),
        nn.SiLU(),
        nn.Conv2d(a, b, 4, 2, 1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(49 * b, width),
        nn.SiLU(),
        nn.Linear(width, n_out),
    ]


def upward(channels: Sequence[int], width: int, n_latent: int) -> list[nn.Module]:
    """Numbers to 28x28."""
    a, b = channels
    return [
        nn.Linear(n_latent, width),
        nn.SiLU(),
        nn.Linear(width, 49 * b),
        nn.Unflatten(1, (b, 7, 7)),
        nn.SiLU(),
        nn.ConvTranspose2d(b, a, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(a, 1, 4, 2, 1),
    ]


CASES = {
    "MLP-VAE": Work(mlp_vae, OF_VECTORS),
    "convolutional VAE": Work(conv_vae, OF_IMAGES),
}
