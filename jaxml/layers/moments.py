# SPDX-License-Identifier: Apache-2.0
"""Mean and variance in one reading of the data, and the affine map that normalizes with them.

Two sums are taken together, of d and of d² with d = x − s: one reading instead of two. The shift s
is a mean of some of the data, so that a large mean does not cancel: the variance is off by at most
some (reduced length / length averaged into s) roundings, whatever the data, and by a few of them
unless s is an outlier.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxml.types import Array

Names = str | tuple[str, ...] | None
"""Mapped axes (of `vmap` or `shard_map`) over which a mean is taken too."""


class Moments(NamedTuple):
    """Mean and variance with the reduced axes in place, of length 1.

    Attributes:
      shift: s, a constant under differentiation.
      offset: μ − s. The mean itself would have lost the digits of an offset below its rounding.
      variance: σ², the sum of squares divided by the count.
    """

    shift: Array
    offset: Array
    variance: Array


def moments(x: Array, axes: tuple[int, ...], groups: int, names: Names = None) -> Moments:
    """μ = s + E[d], σ² = E[d²] − E[d]², over axes and over the channels of a group.

    Args:
      x: `n ... c` in single precision at least.
      axes: the reduced axes, channels excluded.
      groups: blocks of channels that share their moments; as many as channels if none do.
      names: mapped axes to reduce over as well.

    Returns:
      The moments, each of them repeated for all channels of its group.
    """

    def pooled(means: Array) -> Array:
        blocks = means.reshape(*means.shape[:-1], groups, -1)
        blocks = jnp.broadcast_to(blocks.mean(-1, keepdims=True), blocks.shape)
        means = blocks.reshape(means.shape)
        return means if names is None else lax.pmean(means, names)

    some = lax.index_in_dim(x, x.shape[axes[0]] // 2, axes[0]) if axes else x
    # The barriers keep what is small small: fused into the passes over x, the arithmetic of groups
    # is done once an element and keeps the compiler from vectorizing.
    shift = lax.optimization_barrier(pooled(lax.stop_gradient(some).mean(axes, keepdims=True)))
    d = x - shift
    count = math.prod(x.shape[axis] for axis in axes)
    sums = d.sum(axes, keepdims=True), jnp.square(d).sum(axes, keepdims=True)
    first, second = (pooled(total / count) for total in lax.optimization_barrier(sums))
    return Moments(shift, first, second - jnp.square(first))


def normalize(
    x: Array, statistics: Moments, scale: Array | None, bias: Array | None, eps: float
) -> Array:
    """(x − s) a + b with a = γ/√(σ² + ε) and b = β − (μ − s) a: one pass over the data.

    Args:
      x: `n ... c` in single precision at least.
      statistics: s, μ − s and σ².
      scale: γ, one a channel.
      bias: β, one a channel.
      eps: ε.
    """
    a = lax.rsqrt(statistics.variance + eps)
    if scale is not None:
        a = a * along(scale, x)
    b = -statistics.offset * a
    if bias is not None:
        b = b + along(bias, x)
    a, b = lax.optimization_barrier((a, b))
    return (x - statistics.shift) * a + b


def along(channels: Array, x: Array) -> Array:
    """A vector of channels in the rank and dtype of `x`."""
    return channels.astype(x.dtype).reshape(*(1,) * (x.ndim - 1), -1)
