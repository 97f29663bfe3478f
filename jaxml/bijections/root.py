# SPDX-License-Identifier: Apache-2.0
"""Roots of increasing functions: an inverse for maps that have none in closed form."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Value = Float[Array, "*shape"]
Increasing = Callable[..., Value]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def root(f: Increasing, y: Value, params: tuple, lower: Value, upper: Value) -> Value:
    """The x with f(x, *params) = y, elementwise, of an f that increases in x.

    Ends that do not enclose the root move out in doubling steps. Halving gains a binary digit a
    turn, so that the number of turns belongs to the float and not to f; two steps of Newton, where
    they stay inside, then reach the last digits. Derivatives are those of the implicit function,
    ∂x = (∂y − ∂f/∂θ ∂θ) / f′(x), in every mode and order.

    Args:
      f: `(x, *params) -> y`, elementwise in x.
      y: where to.
      params: arrays, in all of which f is differentiated.
      lower: a first guess of the lower end; constant.
      upper: and of the upper one; constant.
    """
    return _search(f, y, params, lower, upper)


def _search(f, y, params, lower, upper):
    def widen(ends):
        a, b = ends
        width = b - a
        return jnp.where(f(a, *params) > y, a - width, a), jnp.where(
            f(b, *params) < y, b + width, b
        )

    def open_(ends):
        a, b = ends
        outside = (f(a, *params) > y) | (f(b, *params) < y)
        return jnp.any(outside & jnp.isfinite(b - a))

    def halve(_, ends):
        a, b = ends
        middle = a + 0.5 * (b - a)
        above = f(middle, *params) > y
        return jnp.where(above, a, middle), jnp.where(above, middle, b)

    def correction(x):
        value, slope = jax.jvp(lambda x: f(x, *params), (x,), (jnp.ones_like(x),))
        return (value - y) / jnp.where(slope > 0, slope, 1.0)

    def newton(_, x):
        new = x - correction(x)
        return jnp.where((new < a) | (new > b), x, new)  # NaN stays NaN

    digits = jnp.finfo(y.dtype).nmant
    ends = jax.lax.while_loop(open_, widen, (lower, upper))
    a, b = jax.lax.fori_loop(0, digits + 8, halve, ends)
    x = jax.lax.stop_gradient(jax.lax.fori_loop(0, 2, newton, a + 0.5 * (b - a)))
    # Inside `scan`, forward over reverse, JAX differentiates this body in place of the rule below.
    # A step of Newton from a constant has the first derivative of the root, a second the next two.
    for _ in range(2):
        step = correction(x)
        x = x - (step - jax.lax.stop_gradient(step))
    return x


@root.defjvp
def _root_jvp(f, primals, tangents):
    y, params, lower, upper = primals
    dy, d_params, _, _ = tangents
    x = root(f, y, params, lower, upper)
    slope = jax.jvp(lambda x: f(x, *params), (x,), (jnp.ones_like(x),))[1]
    along = jax.jvp(lambda *params: f(x, *params), params, d_params)[1]
    return x, (dy - along) / slope


def bent_root(
    y: Value, height: Float[Array, "..."], slope: Float[Array, "..."], offset: Float[Array, "..."]
) -> Value:
    """The x with x + m tanh(kx + b) = y, for mk > −1: the line and one bend of a planar flow.

    Args:
      y: where to.
      height: m.
      slope: k.
      offset: b.
    """
    m, k, b = (jnp.broadcast_to(a, y.shape) for a in (height, slope, offset))
    centre, reach = jax.lax.stop_gradient(y), jax.lax.stop_gradient(jnp.abs(m))
    return root(_bent_line, y, (m, k, b), centre - reach, centre + reach)


def _bent_line(x: Array, m: Array, k: Array, b: Array) -> Array:
    return x + m * jnp.tanh(k * x + b)
