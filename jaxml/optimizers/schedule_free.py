# SPDX-License-Identifier: Apache-2.0
"""Learning without a schedule: an average that the gradients are taken near."""

import jax
import jax.numpy as jnp

from jaxml.numerics import widen
from jaxml.optimizers.optimizer import Optimizer, Rate, fraction, rate_at
from jaxml.types import PyTree


def schedule_free(
    base: Optimizer, rate: Rate, *, decay: float = 0.9, power: float = 2.0
) -> Optimizer:
    """z ← z + Δ(y), x ← (1 − c)x + cz, y ← βx + (1 − β)z; the parameters are y.

    Gradients are taken at y, steps are made by z, and x, which `at_average` gives, is the model to
    evaluate. c = w/Σw with w = (largest η so far)^power, so that a warm-up weighs little.

    Args:
      base: the rule that moves z, without momentum of its own: `sgd(rate)`, or `adam(rate, b1=0)`.
      rate: η of `base`, a number or a schedule, a warm-up at most.
      decay: β in (0, 1).
      power: of the weights.

    Raises:
      ValueError: if `decay` lies outside (0, 1), or, at `update`, without parameters.

    Reference: Defazio et al. 2024, equations 3 to 5 and algorithm 1, arXiv:2405.15682.
    """
    beta = fraction("decay", decay)
    if beta == 0:
        raise ValueError("decay: expected a number in (0, 1), got 0: x could not be recovered")

    def init(params: PyTree) -> PyTree:
        number = jnp.zeros(())
        return {
            "count": jnp.zeros((), jnp.int32),
            "largest": number,
            "total": jnp.zeros_like(number),
            "z": jax.tree.map(lambda p: jnp.array(widen(p), copy=True), params),
            "base": base.init(params),
        }

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        if params is None:
            raise ValueError("update: schedule_free needs the parameters as its third argument")
        eta = jnp.asarray(rate_at(rate, state["count"].astype(state["total"].dtype)))
        largest = jnp.maximum(state["largest"], eta.astype(state["largest"].dtype))
        weight = largest**power
        total = state["total"] + weight
        c = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
        moves, inner = base.update(gradients, state["base"], params)
        z = jax.tree.map(lambda z, move: z + move.astype(z.dtype), state["z"], moves)

        def change(y, before, after):
            wide = widen(y)
            x = _average(wide, before, beta)
            share = c.astype(wide.dtype)
            x = (1 - share) * x + share * after
            return (beta * x + (1 - beta) * after - wide).astype(y.dtype)

        deltas = jax.tree.map(change, params, state["z"], z)
        count = state["count"] + 1
        new = {"count": count, "largest": largest, "total": total, "z": z, "base": inner}
        return deltas, new

    return Optimizer(init, update)


def at_average(params: PyTree, state: PyTree, decay: float = 0.9) -> PyTree:
    """x = (y − (1 − β)z)/β: the model to evaluate and to sample from.

    Args:
      params: y, as `schedule_free` moves them.
      state: of `schedule_free`.
      decay: β, as it was given to `schedule_free`.
    """
    return jax.tree.map(
        lambda y, z: _average(widen(y), z, decay).astype(y.dtype), params, state["z"]
    )


def _average(y, z, beta: float):
    return (y - (1 - beta) * z) / beta
