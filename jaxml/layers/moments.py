# SPDX-License-Identifier: Apache-2.0
"""Mean and variance in one reading of the data, and the affine map that normalizes with them.

Two sums are taken together, of d and of d² with d = x − s: one reading instead of two. The shift s
is a mean of some of the data, so that a large mean does not cancel: the variance is off by at most
some (number of positions / positions averaged into s) roundings, whatever the data, and by a few of
them unless s is an outlier.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.sharding import get_abstract_mesh

from jaxml.layers.position_sums import affine, squares
from jaxml.numerics import widen
from jaxml.types import Array

Names = str | tuple[str, ...] | None
"""Mapped axes (of `vmap` or `shard_map`) over which a mean is taken too."""


SAMPLED = 28
"""One of so many positions goes into the shift."""


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


def moments(x: Array, groups: int, *, of_batch: bool = False, names: Names = None) -> Moments:
    """μ = s + E[d], σ² = E[d²] − E[d]², over positions and over the channels of a group.

    Args:
      x: `n p c` in single precision at least.
      groups: blocks of channels that share their moments; as many as channels if none do.
      of_batch: whether all examples share their moments.
      names: mapped axes to reduce over as well.

    Returns:
      The moments, each of them repeated for all channels of its group.
    """
    n, p, c = x.shape

    def pooled(means: Array) -> Array:
        means = means.mean(0, keepdims=True) if of_batch else means
        blocks = means.reshape(-1, 1, groups, c // groups)
        means = jnp.broadcast_to(blocks.mean(-1, keepdims=True), blocks.shape).reshape(-1, 1, c)
        return means if names is None else lax.pmean(means, names)

    some = lax.stop_gradient(lax.slice_in_dim(x, p // 2, p // 2 + max(1, p // SAMPLED), axis=1))
    # The barriers keep what is small small: fused into the passes over x, the arithmetic of groups
    # is done once an element and keeps the compiler from vectorizing.
    shift = lax.optimization_barrier(pooled(some.mean(1, keepdims=True)))
    sums = squares(x, jnp.broadcast_to(shift, (n, 1, c)))
    first, second = (pooled(total / p) for total in lax.optimization_barrier(sums))
    return Moments(shift, first, second - jnp.square(first))


def normalize(
    x: Array, statistics: Moments, scale: Array | None, bias: Array | None, eps: float
) -> Array:
    """(x − s) a + b with a = γ/√(σ² + ε) and b = β − (μ − s) a: one pass over the data.

    Args:
      x: `n p c` in single precision at least.
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
    shape = (x.shape[0], 1, x.shape[-1])
    return affine(x, *(jnp.broadcast_to(number, shape) for number in (statistics.shift, a, b)))


def flat(x: Array, *, of_batch: bool = False) -> Array:
    """`n *size c` as `n p c`, or as `1 p c` for moments of the batch, in single precision at least.

    On a mesh with explicit axes the batch, which may be split, stays an axis of its own.
    """
    n = 1 if of_batch and not get_abstract_mesh().explicit_axes else x.shape[0]
    return widen(x).reshape(n, math.prod(x.shape[:-1]) // max(n, 1), x.shape[-1])


def along(channels: Array, x: Array) -> Array:
    """A vector of channels in the rank and dtype of `x`."""
    return channels.astype(x.dtype).reshape(*(1,) * (x.ndim - 1), -1)
