# SPDX-License-Identifier: Apache-2.0
"""Bijections made of bijections: inverted, chained, repeated, conditional, side by side.

Constructors are cached: equal parts give the same object, so that layers built alike can be stacked
and share one compiled program.
"""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp

from jaxml.bijections.bijection import Bijection, Params, sum_last
from jaxml.types import Array


def invert(bijection: Bijection) -> Bijection:
    """f⁻¹ in the place of f."""
    return Bijection(bijection.inverse, bijection.forward, bijection.event)


@cache
def independent(bijection: Bijection, n_axes: int) -> Bijection:
    """The same map, of which n more axes are one event: log-determinants are summed over them.

    Raises:
      ValueError: if `n_axes` is negative.
    """
    if n_axes < 0:
        raise ValueError(f"n_axes: expected at least 0, got {n_axes}")

    def summed(function):
        def map_(x, params):
            y, log_det = function(x, params)
            return y, sum_last(log_det, n_axes)

        return map_

    return Bijection(summed(bijection.forward), summed(bijection.inverse), bijection.event + n_axes)


@cache
def chain(*bijections: Bijection) -> Bijection:
    """f_k ∘ … ∘ f_1, the first one first; log-determinants add up.

    Its parameters are a tuple, one entry each. The largest event among the parts is that of all.

    Raises:
      ValueError: if there is none.
    """
    if not bijections:
        raise ValueError("chain: expected at least one bijection")
    event = max(b.event for b in bijections)
    parts = [independent(b, event - b.event) for b in bijections]

    def forward(x, params):
        total = jnp.zeros((), x.dtype)
        for part, own in zip(parts, params, strict=True):
            x, log_det = part.forward(x, own)
            total = total + log_det
        return x, total

    def inverse(y, params):
        total = jnp.zeros((), y.dtype)
        for part, own in zip(reversed(parts), reversed(tuple(params)), strict=True):
            y, log_det = part.inverse(y, own)
            total = total + log_det
        return y, total

    return Bijection(forward, inverse, event)


@cache
def scan(bijection: Bijection, *, unroll: int = 1) -> Bijection:
    """f(·; θ_n) ∘ … ∘ f(·; θ_1): alike but for parameters, which are stacked along a first axis.

    One layer is compiled, whatever their number.

    Args:
      bijection: f, whose image has the shape of x.
      unroll: layers a turn of the loop.
    """

    def forward(x, params):
        y, log_dets = jax.lax.scan(bijection.forward, x, params, unroll=unroll)
        return y, log_dets.sum(0)

    def inverse(y, params):
        x, log_dets = jax.lax.scan(bijection.inverse, y, params, unroll=unroll, reverse=True)
        return x, log_dets.sum(0)

    return Bijection(forward, inverse, bijection.event)


def conditional(bijection: Bijection, parameters: Callable[[Params, Array], Params]) -> Bijection:
    """f(x; g(φ, c)): the parameters of f are made from own ones φ and a context c.

    Its parameters are the pair (φ, c).

    Args:
      bijection: f.
      parameters: g.
    """

    def forward(x, params):
        return bijection.forward(x, parameters(*params))

    def inverse(y, params):
        return bijection.inverse(y, parameters(*params))

    return Bijection(forward, inverse, bijection.event)


@cache
def side_by_side(bijection: Bijection) -> Bijection:
    """f(x_i; θ_i) for every entry i of one more axis of events: `vmap`, log-determinants added up.

    x is `*batch i *event`, and parameters are stacked along a first axis, one entry an i.
    """

    def mapped(function):
        def map_(x, params):
            axis = x.ndim - bijection.event - 1
            y, log_det = jax.vmap(function, in_axes=(axis, 0), out_axes=(axis, -1))(x, params)
            return y, log_det.sum(-1)

        return map_

    return Bijection(mapped(bijection.forward), mapped(bijection.inverse), bijection.event + 1)
