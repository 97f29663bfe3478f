# SPDX-License-Identifier: Apache-2.0
"""Layers in PyTorch: a builder for each, which returns one unit of work as a call."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.variant import CHANNELS_LAST, COMPILED, OF_IMAGES, OF_VECTORS, Work


def module_step(module: nn.Module, shape: tuple[int, ...], variant: str) -> Callable[[], Any]:
    """Forward and backward through a module of images, for the gradients of all it is given."""
    x = torch.randn(shape)
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)
    x.requires_grad_()
    parameters = list(module.parameters())

    def value(x: torch.Tensor) -> torch.Tensor:
        y = module(x)
        return (y * y).sum()

    function = torch.compile(value) if variant == COMPILED else value
    return lambda: torch.autograd.grad(function(x), [x, *parameters])


def group_norm_silu(*, variant: str, n: int, size: int, channels: int, groups: int):
    """SiLU(GroupNorm(x)), both gradients."""
    module = nn.Sequential(nn.GroupNorm(groups, channels), nn.SiLU())
    return module_step(module, (n, channels, size, size), variant)


def batch_norm_relu(*, variant: str, n: int, size: int, channels: int):
    """ReLU(BatchNorm(x)) in training, both gradients."""
    module = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
    return module_step(module, (n, channels, size, size), variant)


def convolution(
    *,
    variant: str,
    n: int,
    size: int,
    channels: int,
    features: int,
    window: int,
    stride: int,
    groups: int,
):
    """A convolution, both gradients."""
    module = nn.Conv2d(
        channels, features, window, stride, padding=(window - 1) // 2, groups=groups, bias=False
    )
    return module_step(module, (n, channels, size, size), variant)


def convolution_forward(*, variant: str, n: int, size: int, channels: int, window: int):
    """A convolution alone."""
    x = torch.randn(n, channels, size, size)
    module = nn.Conv2d(channels, channels, window, padding=(window - 1) // 2, bias=False)
    if variant == CHANNELS_LAST:
        x = x.to(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)
    function = torch.compile(module) if variant == COMPILED else module

    @torch.no_grad()
    def work() -> torch.Tensor:
        return function(x)

    return work


def attention(*, variant: str, n: int, length: int, heads: int, features: int):
    """Causal attention, the gradients of queries, keys and values."""
    inputs = [torch.randn(n, heads, length, features, requires_grad=True) for _ in range(3)]

    def value(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return (y * y).sum()

    function = torch.compile(value) if variant == COMPILED else value
    return lambda: torch.autograd.grad(function(*inputs), inputs)


CASES = {
    "group norm, SiLU": Work(group_norm_silu, OF_IMAGES),
    "batch norm, ReLU": Work(batch_norm_relu, OF_IMAGES),
    "convolution": Work(convolution, OF_IMAGES),
    "convolution forward": Work(convolution_forward, OF_IMAGES),
    "attention": Work(attention, OF_VECTORS),
}
