# SPDX-License-Identifier: Apache-2.0
"""Gradients kept within bounds: by value, by their norm, or by the norm of what they change."""

import jax
import jax.numpy as jnp

from jaxml.numerics import widen
from jaxml.optimizers.optimizer import Optimizer
from jaxml.types import Array, PyTree


def clip_by_value(limit: float) -> Optimizer:
    """Δ = min(max(g, −c), c), each number by itself; the direction changes.

    Args:
      limit: c.

    Raises:
      ValueError: if `limit` is not positive.
    """
    _positive("limit", limit)
    return _stateless(lambda g, params: jax.tree.map(lambda x: jnp.clip(x, -limit, limit), g))


def clip_by_norm(limit: float) -> Optimizer:
    """Δ = g·min(1, c/‖g‖) with the norm over all leaves together; the direction stays.

    Args:
      limit: c.

    Raises:
      ValueError: if `limit` is not positive.

    Reference: Pascanu, Mikolov and Bengio 2013, algorithm 1, arXiv:1211.5063.
    """
    _positive("limit", limit)

    def clip(gradients, params):
        length = global_norm(gradients)
        factor = jnp.where(length > limit, limit / jnp.where(length > limit, length, 1.0), 1.0)

        def shorten(g):
            wide = widen(g)
            return (wide * factor.astype(wide.dtype)).astype(g.dtype)

        return jax.tree.map(shorten, gradients)

    return _stateless(clip)


def clip_adaptively(ratio: float = 0.01, *, least: float = 1e-3) -> Optimizer:
    """Δ = g·min(1, λ max(‖θ‖, ε)/‖g‖), unit by unit: a unit is what feeds one output.

    Vectors and scalars are one unit each, and so is each column of a matrix `inputs, outputs` and
    each output channel of a kernel `taps, inputs, outputs`: norms run over all axes but the last.

    Args:
      ratio: λ.
      least: ε, so that what starts at 0 can leave it.

    Raises:
      ValueError: if `ratio` or `least` is not positive, or, at `update`, without parameters.

    Reference: Brock et al. 2021, equation 3, arXiv:2102.06171.
    """
    _positive("ratio", ratio)
    _positive("least", least)

    def length(x: Array) -> Array:
        axes = tuple(range(x.ndim - 1)) if x.ndim > 1 else None
        return jnp.sqrt(jnp.sum(jnp.square(x), axis=axes, keepdims=True))

    def one(g: Array, p: Array) -> Array:
        wide = widen(g)
        found, bound = length(wide), ratio * jnp.maximum(length(widen(p)), least)
        above = found > bound
        factor = jnp.where(above, bound / jnp.where(above, found, 1.0), 1.0)
        return (wide * factor.astype(wide.dtype)).astype(g.dtype)

    def clip(gradients, params):
        if params is None:
            raise ValueError("update: adaptive clipping needs the parameters as its third argument")
        return jax.tree.map(one, gradients, params)

    return _stateless(clip)


def global_norm(tree: PyTree) -> Array:
    """‖g‖₂ over all leaves together, added in float32 at least."""
    start = jnp.zeros(())
    squares = (jnp.sum(jnp.square(widen(leaf))) for leaf in jax.tree.leaves(tree))
    return jnp.sqrt(sum((square.astype(start.dtype) for square in squares), start))


def _stateless(change) -> Optimizer:
    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        return change(gradients, params), state

    return Optimizer(lambda params: (), update)


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: expected a positive number, got {value}")
