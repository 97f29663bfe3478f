# SPDX-License-Identifier: Apache-2.0
"""Convolution and its gradients, each as one channels-last convolution and some transposition."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxml.layers.convolution_geometry import Geometry, Margins
from jaxml.types import Array

# Groups up to this number are written out one after the other; more of them run in a loop, which
# takes 1.2 to 3 times as long and keeps the program short.
_WRITTEN_OUT = 32


def output(x: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """The convolution itself: `(x, K) -> y`."""
    if geometry.groups > 1:
        return _by_group(output, x, kernel, geometry, precision)
    return channels_last(
        x,
        kernel,
        precision,
        geometry.padding,
        stride=geometry.stride,
        dilation=geometry.dilation,
    )


def input(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:  # noqa: A001
    """Input gradient `(y, K) -> x`: the kernel, turned round, slides over the spread-out `y`."""
    if geometry.groups > 1:
        return _by_group(input, y, kernel, geometry, precision)
    if max(geometry.stride) > 1 and max(geometry.dilation) == 1:
        return _subpixel(y, kernel, geometry, precision)
    padding = tuple(
        (d * (k - 1) - low, n + low - s * (m - 1) - 1)
        for n, k, s, (low, _), d, m in zip(*geometry[:5], geometry.output, strict=True)
    )
    turned = jnp.flip(kernel, tuple(range(kernel.ndim - 2))).swapaxes(-1, -2)
    return channels_last(
        y, turned, precision, padding, spread=geometry.stride, dilation=geometry.dilation
    )


def kernel(x: Array, y: Array, geometry: Geometry, precision: Any) -> Array:
    """Kernel gradient `(x, y) -> K`: channels of `x` become the batch, `y` becomes the kernel."""
    if geometry.groups > 1:
        return _by_group(kernel, x, y, geometry, precision)
    # The last windows may leave a rest of the input unread: crop it, or the kernel would grow.
    padding = tuple(
        (low, s * (m - 1) + d * (k - 1) + 1 - n - low)
        for n, k, s, (low, _), d, m in zip(*geometry[:5], geometry.output, strict=True)
    )
    gradient = channels_last(
        x.swapaxes(0, -1),
        jnp.moveaxis(y, 0, -2),
        precision,
        padding,
        stride=geometry.dilation,
        dilation=geometry.stride,
    )
    return jnp.moveaxis(gradient, 0, -2)


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
    space = tuple(range(1, x.ndim - 1))
    return lax.conv_general_dilated(
        x,
        kernel,
        stride or (1,) * len(space),
        padding,
        lhs_dilation=spread,
        rhs_dilation=dilation,
        dimension_numbers=lax.ConvDimensionNumbers(
            lhs_spec=(0, x.ndim - 1, *space),
            rhs_spec=(x.ndim - 1, x.ndim - 2, *(axis - 1 for axis in space)),
            out_spec=(0, x.ndim - 1, *space),
        ),
        feature_group_count=groups,
        precision=precision,
    )


def _by_group(contract: Callable, a: Array, b: Array, geometry: Geometry, precision: Any) -> Array:
    """Each group by itself: both operands and the result hold the groups in their last axis."""
    groups = geometry.groups
    alone = geometry._replace(groups=1)
    if groups <= _WRITTEN_OUT:
        pairs = zip(jnp.split(a, groups, -1), jnp.split(b, groups, -1), strict=True)
        return jnp.concatenate([contract(p, q, alone, precision) for p, q in pairs], -1)
    blocks = tuple(jnp.moveaxis(x.reshape(*x.shape[:-1], groups, -1), -2, 0) for x in (a, b))
    parts = lax.map(lambda pair: contract(*pair, alone, precision), blocks)
    result = jnp.moveaxis(parts, 0, -2)
    return result.reshape(*result.shape[:-2], -1)


def _subpixel(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """Input gradient for a stride `s`: every phase of `x` is a channel of a stride-1 convolution.

    Position `s a + b - low` of `x` meets tap `s t + b` of the kernel at output `a - t`. The phases
    `b` read the same outputs, so that one convolution with `ceil(k / s)` taps an axis yields them
    all, to be interleaved. Zeros fill up kernels that `s` does not divide.
    """
    axes = range(len(geometry.stride))
    stride = geometry.stride
    taps = tuple(-(-k // s) for k, s in zip(geometry.kernel, stride, strict=True))
    first = tuple(low // s for (low, _), s in zip(geometry.padding, stride, strict=True))
    count = tuple(
        (n - 1 + low) // s - a + 1
        for n, (low, _), s, a in zip(geometry.input, geometry.padding, stride, first, strict=True)
    )

    fill = [(0, t * s - k) for t, s, k in zip(taps, stride, geometry.kernel, strict=True)]
    full = jnp.pad(kernel, [*fill, (0, 0), (0, 0)])
    full = full.reshape(
        *(size for pair in zip(taps, stride, strict=True) for size in pair), *kernel.shape[-2:]
    )
    tap_axes, phase_axes = [2 * a for a in axes], [2 * a + 1 for a in axes]
    phases = jnp.flip(full, tap_axes).transpose(
        *tap_axes, full.ndim - 1, *phase_axes, full.ndim - 2
    )
    phases = phases.reshape(*taps, y.shape[-1], -1)

    padding = tuple(
        (t - 1 - a, a + c - m)
        for t, a, c, m in zip(taps, first, count, geometry.output, strict=True)
    )
    x = channels_last(y, phases, precision, padding)
    x = x.reshape(len(y), *count, *stride, -1)
    pairs = [axis for a in axes for axis in (1 + a, 1 + len(axes) + a)]
    x = x.transpose(0, *pairs, x.ndim - 1)
    x = x.reshape(len(y), *(c * s for c, s in zip(count, stride, strict=True)), -1)
    start = [low - a * s for (low, _), a, s in zip(geometry.padding, first, stride, strict=True)]
    stop = [a + n for a, n in zip(start, geometry.input, strict=True)]
    return lax.slice(x, (0, *start, 0), (len(y), *stop, x.shape[-1]))
