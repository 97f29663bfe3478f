# SPDX-License-Identifier: Apache-2.0
"""Rounds of GANs in PyTorch."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.family import downward, upward
from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, OF_IMAGES, Work

WEIGHT = 10.0


def built(
    variant: str, n: int, channels: Sequence[int], width: int, n_latent: int
) -> tuple[nn.Module, nn.Module, Callable[[], torch.Tensor]]:
    """Generator, critic, and real images."""
    generator = nn.Sequential(*upward(channels, width, n_latent), nn.Tanh())
    critic = nn.Sequential(*downward(channels, width, 1))
    x = 2 * torch.rand(n, 1, 28, 28) - 1
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        generator = generator.to(memory_format=torch.channels_last)
        critic = critic.to(memory_format=torch.channels_last)
    return generator, critic, lambda: x


def optimizers(*players: nn.Module) -> list[torch.optim.Optimizer]:
    """Adam for each."""
    return [
        torch.optim.Adam(player.parameters(), 2e-4, betas=(0.5, 0.999), fused=True)
        for player in players
    ]


def dcgan(*, variant: str, n_critic: int, n_latent: int, **sizes) -> Callable[[], None]:
    """A step of the critic and a step of the generator on the non-saturating game."""
    del n_critic
    generator, critic, real = built(variant, n_latent=n_latent, **sizes)
    of_generator, of_critic = optimizers(generator, critic)
    n = sizes["n"]

    def critic_cost(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fake = generator(z)
        return (functional.softplus(-critic(x)) + functional.softplus(critic(fake))).mean()

    def generator_cost(z: torch.Tensor) -> torch.Tensor:
        return functional.softplus(-critic(generator(z))).mean()

    if variant == COMPILED:
        critic_cost, generator_cost = torch.compile(critic_cost), torch.compile(generator_cost)

    def update() -> None:
        of_critic.zero_grad()
        critic_cost(real(), torch.randn(n, n_latent)).backward()
        of_critic.step()
        of_generator.zero_grad()
        generator_cost(torch.randn(n, n_latent)).backward()
        of_generator.step()

    return update


def wgan_gp(*, variant: str, n_critic: int, n_latent: int, **sizes) -> Callable[[], None]:
    """Steps of the critic with a gradient penalty, then one of the generator.

    What is differentiated twice is beyond torch.compile: no such variant is offered.
    """
    generator, critic, real = built(variant, n_latent=n_latent, **sizes)
    of_generator, of_critic = optimizers(generator, critic)
    n = sizes["n"]

    def update() -> None:
        for _ in range(n_critic):
            of_critic.zero_grad()
            x = real()
            with torch.no_grad():
                fake = generator(torch.randn(n, n_latent))
            share = torch.rand(n, 1, 1, 1)
            between = (share * x + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            (critic(fake).mean() - critic(x).mean() + WEIGHT * penalty).backward()
            of_critic.step()
        of_generator.zero_grad()
        (-critic(generator(torch.randn(n, n_latent))).mean()).backward()
        of_generator.step()

    return update


CASES = {
    "DCGAN": Work(dcgan, OF_IMAGES),
    "WGAN-GP": Work(wgan_gp, tuple(v for v in OF_IMAGES if v != COMPILED)),
}
