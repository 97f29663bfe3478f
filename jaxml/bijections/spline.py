# SPDX-License-Identifier: Apache-2.0
"""Monotone rational-quadratic splines: with linear tails, on an interval, on a circle."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.spline_bin import Bin, Limit, SlopesOfBin, Value, bin_of, read


class Spline(NamedTuple):
    """Raw numbers of a spline with K bins; zeros give the identity.

    Attributes:
      widths: of the bins, K.
      heights: of the bins, K.
      slopes: at the knots: the K − 1 inner ones with linear tails, all K + 1 on an interval, K on
        a circle, whose first knot is its last.
    """

    widths: Float[Array, "*shape bins"]
    heights: Float[Array, "*shape bins"]
    slopes: Float[Array, "*shape knots"]


class Ends(NamedTuple):
    """The slopes that a spline has at both ends of a bin.

    Attributes:
      extra: how many more slopes than bins there are.
      of_bin: `(raw slopes, k) -> raw slopes of the knots k and k + 1`.
    """

    extra: int
    of_bin: SlopesOfBin


# With tails the raw number at both ends of the interval is 0, slope 1: what `read` finds outside.
TAILS = Ends(-1, lambda slopes, k: (read(slopes, k - 1), read(slopes, k)))
FREE = Ends(1, lambda slopes, k: (read(slopes, k), read(slopes, k + 1)))
ROUND = Ends(0, lambda slopes, k: (read(slopes, k), read(slopes, (k + 1) % slopes.shape[-1])))
SQUARE, CIRCLE = Limit(), Limit(-math.pi, math.pi)


def spline(x: Value, params: Spline, limit: Limit = SQUARE) -> tuple[Value, Value]:
    """y = y_k + h (s ξ² + δ_k ξ(1−ξ)) / (s + (δ_k₊₁ + δ_k − 2s) ξ(1−ξ)); the identity outside.

    ξ = (x − x_k)/w is the place inside of bin k, s = h/w its mean slope. The slopes at both ends
    of [low, high] are 1, so that the tails continue it smoothly.

    Raises:
      ValueError: if the numbers of bins and slopes do not agree, or so many bins do not fit.

    Reference: Durkan et al. 2019, equations 4 and 5, arXiv:1906.04032.
    """
    return _within(_forward, 0, x, params, TAILS, limit)


def spline_inverse(y: Value, params: Spline, limit: Limit = SQUARE) -> tuple[Value, Value]:
    """The root ξ = 2c / (−b − √(b² − 4ac)), the one that loses no digits.

    Reference: Durkan et al. 2019, section 3.1 and appendix A, arXiv:1906.04032.
    """
    return _within(_inverse, 1, y, params, TAILS, limit)


def interval_spline(x: Value, params: Spline, limit: Limit = SQUARE) -> tuple[Value, Value]:
    """The spline of [low, high] with learned slopes at its ends; outside, the identity."""
    return _within(_forward, 0, x, params, FREE, limit)


def interval_spline_inverse(y: Value, params: Spline, limit: Limit = SQUARE) -> tuple[Value, Value]:
    """The inverse of `interval_spline`."""
    return _within(_inverse, 1, y, params, FREE, limit)


def circular_spline(x: Value, params: Spline, limit: Limit = CIRCLE) -> tuple[Value, Value]:
    """The spline of a circle: x is read modulo the period, and the slope at the seam is one.

    To move the seam, turn before and after: `jaxml.bijections.rotate`.

    Reference: Rezende et al. 2020, arXiv:2002.02428.
    """
    return _within(_forward, 0, wrap(x, limit), params, ROUND, limit)


def circular_spline_inverse(y: Value, params: Spline, limit: Limit = CIRCLE) -> tuple[Value, Value]:
    """The inverse of `circular_spline` in [low, high)."""
    return _within(_inverse, 1, wrap(y, limit), params, ROUND, limit)


def wrap(x: Value, limit: Limit) -> Value:
    """x modulo the period, in [low, high)."""
    period = limit.high - limit.low
    return jnp.where((x >= limit.low) & (x < limit.high), x, limit.low + (x - limit.low) % period)


def rotate(x: Value, shift: Float[Array, "..."], limit: Limit = CIRCLE) -> tuple[Value, Value]:
    """y = x + t modulo the period, which moves the seam of a `circular_spline`."""
    return wrap(x + jnp.broadcast_to(shift, x.shape), limit), jnp.zeros_like(x)


def rotate_inverse(
    y: Value, shift: Float[Array, "..."], limit: Limit = CIRCLE
) -> tuple[Value, Value]:
    """x = y − t modulo the period."""
    return rotate(y, -shift, limit)


def _within(at: Callable, by: int, value: Array, params: Spline, ends: Ends, limit: Limit):
    """The spline inside, the identity outside; clipped first, so that no root is taken there."""
    _check(params, ends, limit)
    inside = (value >= limit.low) & (value <= limit.high)
    clipped = jnp.where(inside, value, 0.5 * (limit.low + limit.high))
    image, log_slope = at(clipped, bin_of(clipped, params, ends.of_bin, limit, by))
    # Rounding must not carry an end across itself: outside, another slope holds.
    image = image + jax.lax.stop_gradient(jnp.clip(image, limit.low, limit.high) - image)
    return jnp.where(inside, image, value), jnp.where(inside, log_slope, 0.0)


def _check(params: Spline, ends: Ends, limit: Limit) -> None:
    n_bins, n_heights, n_slopes = (p.shape[-1] for p in params)
    expected = n_bins + ends.extra
    if n_heights != n_bins or n_slopes != expected:
        raise ValueError(
            f"params: expected as many heights as widths ({n_bins}) and {expected} slopes, "
            f"got {n_heights} and {n_slopes}"
        )
    if not 0 < limit.least_bin * n_bins < 1:
        raise ValueError(f"limit: {n_bins} bins of at least {limit.least_bin} do not fit into 1")


def _forward(x: Array, b: Bin) -> tuple[Array, Array]:
    mean = b.height / b.width
    xi = (x - b.x) / b.width
    product = xi * (1 - xi)
    below = mean + (b.next_slope + b.slope - 2 * mean) * product
    return b.y + b.height * (mean * xi**2 + b.slope * product) / below, _log_slope(xi, b, mean)


def _inverse(y: Array, b: Bin) -> tuple[Array, Array]:
    mean, up = b.height / b.width, y - b.y
    bend = up * (b.next_slope + b.slope - 2 * mean)
    a_, b_, c_ = b.height * (mean - b.slope) + bend, b.height * b.slope - bend, -mean * up
    root = jnp.sqrt(jnp.maximum(b_**2 - 4 * a_ * c_, 0.0))
    xi = 2 * c_ / (-b_ - root)
    return b.x + b.width * xi, -_log_slope(xi, b, mean)


def _log_slope(xi: Array, b: Bin, mean: Array) -> Array:
    """log f′ = 2 log s + log(δ′ξ² + 2s ξ(1−ξ) + δ(1−ξ)²) − 2 log(s + (δ′ + δ − 2s) ξ(1−ξ))."""
    rest = 1 - xi
    curved = b.next_slope * xi**2 + 2 * mean * xi * rest + b.slope * rest**2
    below = mean + (b.next_slope + b.slope - 2 * mean) * xi * rest
    return 2 * jnp.log(mean) + jnp.log(curved) - 2 * jnp.log(below)
