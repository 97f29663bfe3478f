# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution and its gradients: shifted multiply-adds, each channel by itself.

XLA's CPU compiler vectorizes a sum of a few shifted images and gives up on a sum of many, and what
it fuses should fit in the cache: hence one row of taps at a time, and one image at a time.
"""

import itertools
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxml.layers.convolution_by_tap import pad, shift, taps, wide
from jaxml.layers.convolution_geometry import Geometry
from jaxml.types import Array


def output(x: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """The convolution `(x, K) -> y`, with one or a few output channels for each of `x`."""
    return _correlate(_repeat(x, kernel.shape[-1]), kernel, geometry).astype(x.dtype)


def input(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:  # noqa: A001
    """Input gradient `(y, K) -> x`: the kernel, turned round, slides over the spread-out `y`."""
    axes = tuple(range(len(geometry.kernel)))
    spread = tuple(s * (m - 1) + 1 for s, m in zip(geometry.stride, geometry.output, strict=True))
    gaps = [(0, 0, s - 1) for s in geometry.stride]
    y = lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *gaps, (0, 0, 0)])
    turned = geometry._replace(
        input=spread,
        stride=(1,) * len(axes),
        padding=tuple(
            (d * (k - 1) - low, n + low - e)
            for n, k, (low, _), d, e in zip(
                geometry.input,
                geometry.kernel,
                geometry.padding,
                geometry.dilation,
                spread,
                strict=True,
            )
        ),
    )
    x = _correlate(y, jnp.flip(kernel, axes), turned)
    return x.reshape(*x.shape[:-1], geometry.groups, -1).sum(-1).astype(y.dtype)


def kernel(x: Array, y: Array, geometry: Geometry, precision: Any) -> Array:
    """Kernel gradient `(x, y) -> K`: for each tap a sum over batch and positions."""
    padded = pad(_repeat(x, y.shape[-1]), geometry)
    window = [s * (m - 1) + 1 for s, m in zip(geometry.stride, geometry.output, strict=True)]
    size = (len(x), *window, y.shape[-1])

    def at(start: Array) -> Array:
        seen = lax.dynamic_slice(padded, (0, *start, 0), size)[(slice(None), *strides)]
        product = seen.astype(wide(x.dtype)) * y.astype(wide(x.dtype))
        return product.sum(tuple(range(x.ndim - 1)))

    strides = [slice(None, None, s) for s in geometry.stride]
    starts = jnp.asarray(list(taps(geometry))) * jnp.asarray(geometry.dilation)[None]
    return lax.map(at, starts).reshape(*geometry.kernel, 1, -1).astype(x.dtype)


def _repeat(x: Array, features: int) -> Array:
    """Every channel as often as it has output channels."""
    return x if features == x.shape[-1] else jnp.repeat(x, features // x.shape[-1], -1)


def _correlate(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """`sum_k x[n, stride i + dilation k - low, c] K[k, c]`, in single precision at least."""
    weight = kernel.astype(wide(x.dtype)).reshape(*geometry.kernel, *(1,) * (x.ndim - 1), -1)

    def image(padded: Array) -> Array:
        padded = padded.astype(weight.dtype)[None]
        total = jnp.zeros((1, *geometry.output, x.shape[-1]), weight.dtype)
        for row in itertools.product(*map(range, geometry.kernel[:-1])):
            tap = [(*row, column) for column in range(geometry.kernel[-1])]
            products = (shift(padded, k, geometry) * weight[k] for k in tap)
            total = lax.optimization_barrier(total + sum(products))
        return total[0]

    return lax.map(image, pad(x, geometry))
