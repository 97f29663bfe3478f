# SPDX-License-Identifier: Apache-2.0
"""Update rules in PyTorch."""

import torch

from benchmarks.peers.variant import EAGER, Work


def adam(*, variant: str, n_leaves: int, n_parameters: int):
    """One update of Adam from gradients that are there."""
    del variant
    size = n_parameters // n_leaves
    leaves = [torch.randn(size, requires_grad=True) for _ in range(n_leaves)]
    for leaf in leaves:
        leaf.grad = torch.randn(size)
    return torch.optim.Adam(leaves, 1e-3, fused=True).step


CASES = {"Adam": Work(adam, (EAGER,))}  # the fused update is the best there is
