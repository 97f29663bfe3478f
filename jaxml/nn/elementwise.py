# SPDX-License-Identifier: Apache-2.0
"""Elementwise bijections whose parameters a network gives: raw numbers in, of any size."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml import bijections
from jaxml.bijections import Affine, Limit, Sigmoids, Spline
from jaxml.numerics import soft_clip

Raw = Float[Array, "*shape raw"]
Value = Float[Array, "*shape"]
Map = Callable[[Value, Raw], tuple[Value, Value]]


class Elementwise(NamedTuple):
    """y = f(x; raw) for every element, the identity where raw is 0.

    The constructors below are cached: equal options give the same object, so that two models built
    alike share one compiled program.

    Attributes:
      n_raw: raw numbers an element.
      forward: `(x, raw) -> (y, log-slope)`.
      inverse: `(y, raw) -> (x, log-slope)`.
    """

    n_raw: int
    forward: Map
    inverse: Map


@cache
def additive() -> Elementwise:
    """y = x + t, which keeps volumes.

    Reference: Dinh, Krueger and Bengio 2015, section 3.2, arXiv:1410.8516.
    """

    def forward(x, raw):
        return x + raw[..., 0], jnp.zeros_like(x)

    def inverse(y, raw):
        return y - raw[..., 0], jnp.zeros_like(y)

    return Elementwise(1, forward, inverse)


@cache
def affine(limit: float = 3.0) -> Elementwise:
    """y = x e^s + t with s = c·tanh(raw/c): no factor beyond e^±c, smooth everywhere.

    Args:
      limit: c.
    """

    def params(raw):
        return Affine(raw[..., 0], soft_clip(raw[..., 1], limit))

    return Elementwise(
        2,
        lambda x, raw: bijections.affine(x, params(raw)),
        lambda y, raw: bijections.affine_inverse(y, params(raw)),
    )


@cache
def spline(n_bins: int = 8, limit: Limit = Limit()) -> Elementwise:  # noqa: B008
    """The monotone rational-quadratic spline with linear tails.

    Args:
      n_bins: K; 3K − 1 raw numbers.
      limit: the interval of the spline, its least bin and least slope.

    Reference: Durkan et al. 2019, section 3.1, arXiv:1906.04032.
    """
    n_raw = 3 * n_bins - 1

    def along_one_axis(function):
        # A CPU's vectors run along the last axis of the values, which may be as short as 2.
        def map_(x, raw):
            params = Spline(*jnp.split(raw.reshape(-1, n_raw), (n_bins, 2 * n_bins), axis=-1))
            y, log_slope = function(x.reshape(-1), params, limit)
            return y.reshape(x.shape), log_slope.reshape(x.shape)

        return map_

    forward, inverse = map(along_one_axis, (bijections.spline, bijections.spline_inverse))
    return Elementwise(n_raw, forward, inverse)


@cache
def sigmoids(n_units: int = 8) -> Elementwise:
    """The monotone network of K sigmoids; its inverse is a bisection.

    Args:
      n_units: K; 3K raw numbers. Shifts of units are spread over [−3, 3], for equal units would
        stay equal; raw numbers of 0 give a map near the identity.

    Reference: Huang et al. 2018, section 3.1, arXiv:1804.00779.
    """
    # NumPy: an array of JAX, made first inside a trace, would stay in the cache as its tracer.
    spread = np.linspace(-3.0, 3.0, n_units) if n_units > 1 else np.zeros(1)

    def params(raw):
        slope, shift, weight = jnp.split(raw, 3, axis=-1)
        start = jnp.asarray(spread, raw.dtype).reshape((1,) * (raw.ndim - 1) + (-1,))
        return Sigmoids(slope, shift + start, weight)

    return Elementwise(
        3 * n_units,
        lambda x, raw: bijections.sigmoids(x, params(raw)),
        lambda y, raw: bijections.sigmoids_inverse(y, params(raw)),
    )
