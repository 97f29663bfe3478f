# SPDX-License-Identifier: Apache-2.0
"""Convolution and its gradients where one side has few channels: all taps of that side at once.

A matrix product needs a side that is wide. The taps of the narrow side, side by side, are one: with
2 channels of 3 x 3 taps 18 columns, gathered before the product or added up at their places behind
it. The contractions in which that brings nothing are those by window.
"""

import math
from typing import Any

import jax.numpy as jnp

from jaxml.layers import convolution_by_window
from jaxml.layers.convolution_by_tap import correlation, pad, product, shift, spread, taps
from jaxml.layers.convolution_geometry import Geometry
from jaxml.types import Array


def output(x: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:
    """The convolution `(x, K) -> y`: few features are made at every tap, then shifted and added."""
    channels, features = kernel.shape[-2:]
    if max(geometry.stride) > 1 or not _pays(channels, features, geometry):
        return convolution_by_window.output(x, kernel, geometry, precision)
    # Position by position what each tap gives; the windows then collect it.
    parts = product(x, _columns(kernel, -1), 1, precision)
    padded = pad(parts, geometry)
    total = sum(
        shift(padded[..., i * features : (i + 1) * features], tap, geometry)
        for i, tap in enumerate(taps(geometry))
    )
    return jnp.asarray(total).astype(x.dtype)


def input(y: Array, kernel: Array, geometry: Geometry, precision: Any) -> Array:  # noqa: A001
    """Input gradient `(y, K) -> x`: few channels made at every tap are put at their places."""
    channels, features = kernel.shape[-2:]
    if not _pays(features, channels, geometry):
        return convolution_by_window.input(y, kernel, geometry, precision)
    parts = product(y, _columns(kernel, -2), 1, precision)
    total = sum(
        spread(parts[..., i * channels : (i + 1) * channels], tap, geometry)
        for i, tap in enumerate(taps(geometry))
    )
    return jnp.asarray(total).astype(y.dtype)


def kernel(x: Array, y: Array, geometry: Geometry, precision: Any) -> Array:
    """Kernel gradient `(x, y) -> K`: one product with the taps of the narrow side as columns."""
    channels, features = x.shape[-1], y.shape[-1]
    if channels <= features:
        padded = pad(x, geometry)
        columns = [shift(padded, tap, geometry) for tap in taps(geometry)]
        found = correlation(jnp.concatenate(columns, -1), y, 1, precision)
        return found.reshape(*geometry.kernel, channels, features).astype(x.dtype)
    if max(geometry.stride) > 1:
        return convolution_by_window.kernel(x, y, geometry, precision)
    columns = [spread(y, tap, geometry) for tap in taps(geometry)]
    found = correlation(x, jnp.concatenate(columns, -1), 1, precision)
    by_tap = found.reshape(channels, -1, features).swapaxes(0, 1)
    return by_tap.reshape(*geometry.kernel, channels, features).astype(x.dtype)


def _pays(wide: int, narrow: int, geometry: Geometry) -> bool:
    """Whether a product that makes all taps at once costs less than one over the windows.

    More columns than there are wide channels took 1.2 to 1.35 times as long, and with a stride the
    other form makes no more than the phases that it needs.
    """
    return math.prod(geometry.kernel) * narrow * max(geometry.stride) <= wide


def _columns(kernel: Array, narrow: int) -> Array:
    """`K[taps, i, o]` as a matrix from the wide channels to the taps of the narrow ones."""
    matrix = kernel.reshape(-1, *kernel.shape[-2:])
    wide_first = jnp.moveaxis(matrix, -2 if narrow == -1 else -1, 0)
    return wide_first.reshape(len(wide_first), -1)
