# SPDX-License-Identifier: Apache-2.0
"""The bin of a spline that a number lies in, found without building all of its knots.

Places of knots are made for the comparison alone and carry no derivative; the knot that was found
is summed by a mask, so that derivatives reach the raw numbers by masks and not by the
transpose of a running sum, and slopes are made positive after they were chosen. Times of forms are
in docs/performance.md.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxml.bijections.bijection import align
from jaxml.numerics import softplus, softplus_inverse

Value = Float[Array, "*shape"]
Table = Float[Array, "*#shape entries"]
Index = Int[Array, "*#shape"]


class Limit(NamedTuple):
    """The square [low, high]² that the spline lives on, and the least bin and slope.

    A least bin or slope of 1e-4 and raw numbers of size 5 leave the inverse in single precision
    with errors of 4; 1e-3 does not.
    """

    low: float = -3.0
    high: float = 3.0
    least_bin: float = 1e-3
    least_slope: float = 1e-3


class Bin(NamedTuple):
    """The bin that an x or a y lies in: its lower knot, its size, the slopes at both ends."""

    x: Value
    width: Value
    y: Value
    height: Value
    slope: Value
    next_slope: Value


SlopesOfBin = Callable[[Table, Index], tuple[Value, Value]]
"""`(raw slopes, k) -> raw slopes of the knots k and k + 1`."""


def bin_of(
    value: Value, raw: tuple[Array, Array, Array], slopes_of_bin: SlopesOfBin, limit: Limit, by: int
) -> Bin:
    """The bin that `value` lies in.

    Args:
      value: an x or a y within the limit.
      raw: of widths, heights and slopes, along the last axis.
      slopes_of_bin: which raw slopes belong to a bin.
      limit: of the spline.
      by: 0 if `value` is an x, 1 if it is a y.
    """
    *sizes, slopes = (align(r, value.ndim + 1) for r in raw)
    lengths = [_lengths(size, limit) for size in sizes]
    k = _bins_below(value - limit.low, jax.lax.stop_gradient(lengths[by]))
    (x, width), (y, height) = (
        (_lower_knot(length, k, limit), read(length, k)) for length in lengths
    )
    one = softplus_inverse(jnp.asarray(1 - limit.least_slope, slopes.dtype))
    low, high = (limit.least_slope + softplus(slope + one) for slope in slopes_of_bin(slopes, k))
    return Bin(x, width, y, height, low, high)


def read(table: Table, k: Index) -> Array:
    """Entry k, 0 where there is none: by one-hot sums, as fast on a CPU as reading at an index."""
    return jnp.where(_entry(table) == k[..., None], table, 0.0).sum(-1)


def _lower_knot(lengths: Array, k: Index, limit: Limit) -> Array:
    """Middle + ½ (bins below − bins above): half the rounding errors of a sum from one end.

    The first and the last bin are held by the ends themselves, where a slope may change fast.
    """
    half = 0.5 * lengths
    from_middle = jnp.where(_entry(lengths) < k[..., None], half, -half).sum(-1)
    inner = 0.5 * (limit.low + limit.high) + from_middle
    last = lengths.shape[-1] - 1
    return jnp.where(k == 0, limit.low, jnp.where(k == last, limit.high - lengths[..., -1], inner))


def _entry(table: Array) -> Array:
    return jax.lax.broadcasted_iota(jnp.int32, table.shape, table.ndim - 1)


def _bins_below(distance: Array, lengths: Array) -> Array:
    """How many of the first K − 1 bins a number lies beyond, by sums written out: K is small."""
    *inner, _ = (lengths[..., i] for i in range(lengths.shape[-1]))
    beyond = [distance >= knot for knot in accumulate(inner)]
    if not beyond:
        return jnp.zeros(distance.shape, jnp.int32)
    return jnp.stack(beyond, -1).sum(-1, dtype=jnp.int32)


def _lengths(raw: Array, limit: Limit) -> Array:
    """Shares of the interval by softmax, none below its least."""
    share = limit.least_bin + (1 - limit.least_bin * raw.shape[-1]) * jax.nn.softmax(raw)
    return (limit.high - limit.low) * share
