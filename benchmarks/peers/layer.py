# SPDX-License-Identifier: Apache-2.0
"""Layers in PyTorch: a builder for each, which returns one unit of work as a call."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def module_step(module: Callable, shape: tuple[int, ...], variant: str) -> Callable[[], Any]:
    """Forward and backward through a module, for the gradients of input and parameters."""
    x = torch.randn(shape)
    if variant == "channels last":
        if len(shape) != 4:
            raise NotImplementedError("channels last is a layout of images")
        x = x.to(memory_format=torch.channels_last)
        if isinstance(module, nn.Module):
            module = module.to(memory_format=torch.channels_last)
    x.requires_grad_()
    parameters = list(module.parameters()) if isinstance(module, nn.Module) else []

    def value(x: torch.Tensor) -> torch.Tensor:
        y = module(x)
        return (y * y).sum()

    function = torch.compile(value) if variant == "compiled" else value
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
    *, variant: str, n: int, size: int, channels: int, window: int, stride: int, groups: int
):
    """A convolution, both gradients."""
    module = nn.Conv2d(
        channels, channels, window, stride, padding=(window - 1) // 2, groups=groups, bias=False
    )
    return module_step(module, (n, channels, size, size), variant)


def convolution_forward(*, variant: str, n: int, size: int, channels: int, window: int):
    """A convolution alone."""
    x = torch.randn(n, channels, size, size)
    module = nn.Conv2d(channels, channels, window, padding=(window - 1) // 2, bias=False)
    if variant == "channels last":
        x = x.to(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)
    function = torch.compile(module) if variant == "compiled" else module

    @torch.no_grad()
    def work() -> torch.Tensor:
        return function(x)

    return work


def attention(*, variant: str, n: int, length: int, heads: int, features: int):
    """Causal attention, the gradients of queries, keys and values."""
    if variant == "channels last":
        raise NotImplementedError("channels last is a layout of images")
    inputs = [torch.randn(n, heads, length, features, requires_grad=True) for _ in range(3)]

    def value(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return (y * y).sum()

    function = torch.compile(value) if variant == "compiled" else value
    return lambda: torch.autograd.grad(function(*inputs), inputs)


CASES = {
    "group norm, SiLU": group_norm_silu,
    "batch norm, ReLU": batch_norm_relu,
    "convolution": convolution,
    "convolution forward": convolution_forward,
    "attention": attention,
}
