# SPDX-License-Identifier: Apache-2.0
"""Weight decay beside an update rule."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxml.numerics import widen
from jaxml.optimizers.optimizer import Optimizer, Rate, not_negative, rate_at
from jaxml.types import PyTree


def with_weight_decay(
    optimizer: Optimizer, rate: Rate, weight_decay: float, where: Callable[[str], bool]
) -> Optimizer:
    """Δ − ηλθ for the leaves that `where` chooses, and the Δ of `optimizer` for the others.

    Args:
      optimizer: one made by `per_leaf`.
      rate: η, the one of `optimizer`.
      weight_decay: λ.
      where: `path -> bool`; a path reads `layers/0/kernel`.

    Raises:
      ValueError: if `weight_decay` is negative, or, at `update`, without parameters.
    """
    strength = not_negative("weight_decay", weight_decay)
    if strength == 0:
        return optimizer

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        if params is None:
            raise ValueError("update: weight decay needs the parameters as its third argument")
        eta = rate_at(rate, state["count"].astype(jnp.zeros(()).dtype))
        deltas, state = optimizer.update(gradients, state, params)

        def decayed(path, delta, p):
            if not where(jax.tree_util.keystr(path, simple=True, separator="/")):
                return delta
            wide = widen(p)
            shrunk = jnp.asarray(eta * strength).astype(wide.dtype) * wide
            return (widen(delta) - shrunk).astype(delta.dtype)

        return jax.tree_util.tree_map_with_path(decayed, deltas, params), state

    return Optimizer(optimizer.init, update)
