# SPDX-License-Identifier: Apache-2.0
"""Convolution and its gradients as one product for each tap of the kernel."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxml.layers.convolution_geometry import Geometry, Sizes
from jaxml.types import Array


def output(x: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """The convolution `(x, K) -> y`: a sum of products with the input shifted by each tap."""
    padded = pad(x, geometry)
    total = sum(
        product(shift(padded, tap, geometry), kernel[tap], geometry.groups, precision)
        for tap in taps(geometry)
    )
    return jnp.asarray(total).astype(x.dtype)


def input(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:  # noqa: A001
    """Input gradient `(y, K) -> x`: a sum of products, each written where its tap reads."""
    groups = geometry.groups
    total = sum(
        spread(product(y, _swap(kernel[tap], groups), groups, precision), tap, geometry)
        for tap in taps(geometry)
    )
    return jnp.asarray(total).astype(y.dtype)


def kernel(x: Array, y: Array, geometry: Geometry, precision: Any) -> Array:
    """Kernel gradient `(x, y) -> K`: for each tap one product over batch and positions."""
    padded = pad(x, geometry)
    parts = [
        correlation(shift(padded, tap, geometry), y, geometry.groups, precision)
        for tap in taps(geometry)
    ]
    return jnp.stack(parts).reshape(*geometry.kernel, *parts[0].shape).astype(x.dtype)


def taps(geometry: Geometry) -> Iterator[Sizes]:
    """The positions in the kernel, the last axis fastest."""
    return itertools.product(*map(range, geometry.kernel))


def pad(x: Array, geometry: Geometry) -> Array:
    """`x` with the zeros around it, or cropped."""
    sides = [(low, high, 0) for low, high in geometry.padding]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])


def shift(padded: Array, tap: Sizes, geometry: Geometry) -> Array:
    """What the windows see at one tap: as many positions as there are windows."""
    start = [k * d for k, d in zip(tap, geometry.dilation, strict=True)]
    stop = [
        a + s * (m - 1) + 1 for a, s, m in zip(start, geometry.stride, geometry.output, strict=True)
    ]
    return lax.slice(
        padded,
        (0, *start, 0),
        (padded.shape[0], *stop, padded.shape[-1]),
        (1, *geometry.stride, 1),
    )


def spread(part: Array, tap: Sizes, geometry: Geometry) -> Array:
    """The transpose of `shift` after `pad`: zeros everywhere else."""
    sides = []
    n_k_s = zip(tap, geometry.input, *geometry[2:5], geometry.output, strict=True)
    for k, n, s, (low, _), d, m in n_k_s:
        before = k * d - low
        sides.append((before, n - before - s * (m - 1) - 1, s - 1))
    return lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *sides, (0, 0, 0)])


def wide(dtype: Any) -> Any:
    """Half precisions are summed in single precision."""
    return jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype


def _swap(matrix: Array, groups: int) -> Array:
    """Transposes a channel matrix `[i, g o]` to `[o, g i]`, a group at a time."""
    blocks = matrix.reshape(len(matrix), groups, -1)
    return blocks.swapaxes(0, 2).reshape(-1, groups * len(matrix))


def product(x: Array, matrix: Array, groups: int, precision: Any) -> Array:
    """`x[..., g, i] matrix[i, g, o] -> [..., g, o]` with the channels flat on both sides."""
    sums = wide(x.dtype)
    if groups == 1:
        return lax.dot_general(
            x,
            matrix,
            (((x.ndim - 1,), (0,)), ((), ())),
            precision=precision,
            preferred_element_type=sums,
        )
    blocks = x.reshape(*x.shape[:-1], groups, -1)
    found = lax.dot_general(
        blocks,
        matrix.reshape(len(matrix), groups, -1),
        (((x.ndim,), (0,)), ((x.ndim - 1,), (1,))),
        precision=precision,
        preferred_element_type=sums,
    )
    return jnp.moveaxis(found, 0, -2).reshape(*x.shape[:-1], -1)


def correlation(x: Array, y: Array, groups: int, precision: Any) -> Array:
    """`sum_{n, positions} x[n, ..., g, i] y[n, ..., g, o] -> [i, g o]`."""
    sums = wide(x.dtype)
    over = tuple(range(x.ndim - 1))
    blocks = lax.dot_general(
        x.reshape(*x.shape[:-1], groups, -1),
        y.reshape(*y.shape[:-1], groups, -1),
        ((over, over), ((x.ndim - 1,), (x.ndim - 1,))),
        precision=precision,
        preferred_element_type=sums,
    )
    return blocks.swapaxes(0, 1).reshape(blocks.shape[1], -1)
