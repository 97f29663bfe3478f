# SPDX-License-Identifier: Apache-2.0
"""Belief propagation on a square of spins in PyTorch, by shifts."""

from collections.abc import Callable

import torch
from torch.nn.functional import pad

from benchmarks.peers.variant import COMPILED, OF_VECTORS, Work


def propagation(*, variant: str, side: int, n_steps: int) -> Callable[[], torch.Tensor]:
    """Magnetizations after all messages went so many times."""
    right, down = 0.3 * torch.randn(side, side - 1), 0.3 * torch.randn(side - 1, side)
    field, t_right, t_down = 0.3 * torch.randn(side, side), right.tanh(), down.tanh()

    def step(
        east: torch.Tensor, west: torch.Tensor, south: torch.Tensor, north: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        from_west, from_east = pad(east, (1, 0)), pad(west, (0, 1))
        from_north, from_south = pad(south, (0, 0, 1, 0)), pad(north, (0, 0, 0, 1))
        total = field + from_west + from_east + from_north + from_south
        return (
            torch.atanh(t_right * torch.tanh((total - from_east)[:, :-1])),
            torch.atanh(t_right * torch.tanh((total - from_west)[:, 1:])),
            torch.atanh(t_down * torch.tanh((total - from_south)[:-1])),
            torch.atanh(t_down * torch.tanh((total - from_north)[1:])),
        )

    once = torch.compile(step) if variant == COMPILED else step

    @torch.no_grad()
    def run() -> torch.Tensor:
        messages = torch.zeros_like(right), torch.zeros_like(right)
        messages = (*messages, torch.zeros_like(down), torch.zeros_like(down))
        for _ in range(n_steps):
            messages = once(*messages)
        east, west, south, north = messages
        total = field + pad(east, (1, 0)) + pad(west, (0, 1))
        return torch.tanh(total + pad(south, (0, 0, 1, 0)) + pad(north, (0, 0, 0, 1)))

    return run


CASES = {"belief propagation": Work(propagation, OF_VECTORS)}
