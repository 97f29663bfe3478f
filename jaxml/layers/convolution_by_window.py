# SPDX-License-Identifier: Apache-2.0
"""Convolution and its gradients, each as one channels-last convolution and some transposition.

XLA's CPU compiler runs a convolution as a matrix product where its layout is channels-last. Outside
loops it rewrites other layouts first; inside the body of a `while` loop it does not (jax issue
12868), and the gradients that JAX writes are not channels-last.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxml.layers.convolution_geometry import Geometry, Margins
from jaxml.types import Array


def channels_last(
    x: Array,
    kernel: Array,
    precision: Any,
    padding: Margins,
    *,
    groups: int = 1,
    stride: Sequence[int] | None = None,
    spread: Sequence[int] | None = None,
    dilation: Sequence[int] | None = None,
) -> Array:
    """XLA's convolution of `x[n, ..., c]` with `K[..., c, o]`; `spread` puts zeros into `x`."""
    spatial = tuple(range(1, x.ndim - 1))
    numbers = lax.ConvDimensionNumbers(
        lhs_spec=(0, x.ndim - 1, *spatial),
        rhs_spec=(x.ndim - 1, x.ndim - 2, *(axis - 1 for axis in spatial)),
        out_spec=(0, x.ndim - 1, *spatial),
    )
    return lax.conv_general_dilated(
        x,
        kernel,
        stride or (1,) * len(spatial),
        padding,
        lhs_dilation=spread,
        rhs_dilation=dilation,
        dimension_numbers=numbers,
        feature_group_count=groups,
        precision=precision,
    )


def output(x: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """The convolution itself: `(x, K) -> y`."""
    return channels_last(
        x,
        kernel,
        precision,
        geometry.padding,
        groups=geometry.groups,
        stride=geometry.stride,
        dilation=geometry.dilation,
    )


def input(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:  # noqa: A001
    """Input gradient `(y, K) -> x`: the kernel, turned round, slides over the spread-out `y`."""
    if max(geometry.stride) > 1 and max(geometry.dilation) == 1:
        return _subpixel(y, kernel, geometry, precision)
    padding = tuple(
        (d * (k - 1) - low, n + low - s * (m - 1) - 1)
        for n, k, s, (low, _), d, m in zip(*geometry[:5], geometry.output, strict=True)
    )
    return channels_last(
        y,
        turn(kernel, geometry.groups),
        precision,
        padding,
        groups=geometry.groups,
        spread=geometry.stride,
        dilation=geometry.dilation,
    )


def kernel(x: Array, y: Array, geometry: Geometry, precision: Any) -> Array:
    """Kernel gradient `(x, y) -> K`: channels of `x` become the batch, `y` becomes the kernel."""
    groups = geometry.groups
    channels = x.shape[-1] // groups
    rows = x.reshape(*x.shape[:-1], groups, channels)
    rows = jnp.moveaxis(rows, (-1, 0), (0, -1)).reshape(channels, *geometry.input, -1)
    # The last windows may leave a rest of the input unread: crop it, or the kernel would grow.
    padding = tuple(
        (low, s * (m - 1) + d * (k - 1) + 1 - n - low)
        for n, k, s, (low, _), d, m in zip(*geometry[:5], geometry.output, strict=True)
    )
    gradient = channels_last(
        rows,
        jnp.moveaxis(y, 0, -2),
        precision,
        padding,
        groups=groups,
        stride=geometry.dilation,
        dilation=geometry.stride,
    )
    return jnp.moveaxis(gradient, 0, -2)


def turn(kernel: Array, groups: int) -> Array:
    """Reverses the taps and swaps input with output channels, a group at a time."""
    *size, channels, _ = kernel.shape
    blocks = kernel.reshape(*size, channels, groups, -1)
    blocks = jnp.moveaxis(blocks, (-1, -3), (-3, -1)).reshape(*size, -1, groups * channels)
    return jnp.flip(blocks, tuple(range(len(size))))


def _subpixel(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """Input gradient for a stride: every phase of `x` is a channel of one stride-1 convolution.

    The position `s a + b - low` of `x` meets the taps `s t + b` of the kernel at the outputs
    `a - t`. All `b` share the outputs they read, so that they fit in one convolution with
    `ceil(k / s)` taps whose `s` results an axis are interleaved afterwards.
    """
    n_axes = len(geometry.stride)
    stride, groups = geometry.stride, geometry.groups
    taps = tuple(-(-k // s) for k, s in zip(geometry.kernel, stride, strict=True))
    first = tuple(low // s for (low, _), s in zip(geometry.padding, stride, strict=True))
    last = tuple(
        (n - 1 + low) // s
        for n, (low, _), s in zip(geometry.input, geometry.padding, stride, strict=True)
    )
    fill = [(0, t * s - k) for t, s, k in zip(taps, stride, geometry.kernel, strict=True)]
    phases = jnp.pad(kernel, [*fill, (0, 0), (0, 0)])
    interleaved = [size for pair in zip(taps, stride, strict=True) for size in pair]
    phases = phases.reshape(*interleaved, kernel.shape[-2], groups, -1)
    tap_axes = tuple(range(0, 2 * n_axes, 2))
    phase_axes = tuple(range(1, 2 * n_axes, 2))
    i, g, o = range(2 * n_axes, 2 * n_axes + 3)
    phases = jnp.flip(phases, tap_axes).transpose(*tap_axes, o, g, *phase_axes, i)
    phases = phases.reshape(*taps, y.shape[-1] // groups, -1)
    padding = tuple(
        (t - 1 - a, z - m + 1)
        for t, a, z, m in zip(taps, first, last, geometry.output, strict=True)
    )
    x = channels_last(y, phases, precision, padding, groups=groups)
    _, *count, _ = x.shape
    x = x.reshape(len(y), *count, groups, *stride, -1)
    places = [axis for a in range(n_axes) for axis in (1 + a, n_axes + 2 + a)]
    x = x.transpose(0, *places, n_axes + 1, x.ndim - 1)
    x = x.reshape(len(y), *(c * s for c, s in zip(count, stride, strict=True)), -1)
    start = [low - a * s for (low, _), a, s in zip(geometry.padding, first, stride, strict=True)]
    stop = [a + n for a, n in zip(start, geometry.input, strict=True)]
    return lax.slice(x, (0, *start, 0), (len(y), *stop, x.shape[-1]))
