# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution and its gradients: shifted multiply-adds, each channel by itself.

XLA's CPU compiler vectorizes a sum of a few shifted images and gives up on a sum of many, and what
it fuses should fit in the cache: hence one row of taps at a time, and one image at a time. Its
reductions are a reading of memory each: hence sums of the kernel gradient as arrays of some rows.
"""

import itertools
import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxml.layers.convolution_by_tap import pad, shift, taps, wide
from jaxml.layers.convolution_geometry import Geometry
from jaxml.types import Array

KEPT = 2**12
"""Numbers in the sum of a tap that is carried through the loop of the kernel gradient."""
UNROLLED = 8
"""Blocks of rows that are added in one turn, at most."""


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
    """Kernel gradient `(x, y) -> K`: for each tap a sum over batch and positions.

    A turn of the loop reads some rows of one image, which stay in the cache for all taps, and folds
    their products into one block of rows for each tap.
    """
    dtype, channels = wide(x.dtype), y.shape[-1]
    height, *rest = geometry.output
    block = max(1, min(height, KEPT // max(1, math.prod(rest) * channels)))
    blocks = -(-height // block)
    chunks = -(-blocks // UNROLLED)
    folded = -(-blocks // chunks)
    rows = block * folded

    seen = _with_rows(pad(_repeat(x, channels), geometry), _reach(geometry, chunks * rows))
    y = _with_rows(y, chunks * rows)

    def turn(i: Array, sums: list[Array]) -> list[Array]:
        first = i % chunks * rows
        of_y = _rows(y, i // chunks, first, rows).astype(dtype)
        of_x = _rows(seen, i // chunks, first * geometry.stride[0], _reach(geometry, rows))
        local = geometry._replace(input=of_x.shape[:-1], padding=((0, 0),) * (of_x.ndim - 1))
        return [
            total + _fold(shift(of_x[None], tap, local)[0].astype(dtype) * of_y, folded)
            for total, tap in zip(sums, taps(geometry), strict=True)
        ]

    zeros = [jnp.zeros((block, *rest, channels), dtype) for _ in taps(geometry)]
    sums = lax.fori_loop(0, len(y) * chunks, turn, zeros)
    total = jnp.stack([part.sum(tuple(range(part.ndim - 1))) for part in sums])
    return total.reshape(*geometry.kernel, 1, -1).astype(x.dtype)


def _reach(geometry: Geometry, rows: int) -> int:
    """Rows of the padded input that so many rows of the output see."""
    window, dilation = geometry.kernel[0], geometry.dilation[0]
    return geometry.stride[0] * (rows - 1) + 1 + dilation * (window - 1)


def _with_rows(x: Array, rows: int) -> Array:
    """Zeros below, up to so many rows at least."""
    below = max(0, rows - x.shape[1])
    return jnp.pad(x, [(0, 0), (0, below), *[(0, 0)] * (x.ndim - 2)]) if below else x


def _rows(x: Array, image: Array, first: Array, rows: int) -> Array:
    """Some rows of one image."""
    start = (image, first, *(0,) * (x.ndim - 2))
    return lax.dynamic_slice(x, start, (1, rows, *x.shape[2:]))[0]


def _fold(x: Array, parts: int) -> Array:
    """The sum of so many equal parts of the rows."""
    block = len(x) // parts
    return sum((x[i * block : (i + 1) * block] for i in range(1, parts)), start=x[:block])


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
