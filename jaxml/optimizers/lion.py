# SPDX-License-Identifier: Apache-2.0
"""Lion: the sign of an average, found by a search over programs."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxml.optimizers.decay import with_weight_decay
from jaxml.optimizers.optimizer import Optimizer, Rate, fraction, per_leaf, rate_at


def lion(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.99,
    weight_decay: float = 0.0,
    where: Callable[[str], bool] = lambda path: True,
) -> Optimizer:
    """θ ← θ − η(sign(β₁m + (1 − β₁)g) + λθ), then m ← β₂m + (1 − β₂)g.

    Every coordinate moves by η: a third to a tenth of Adam's rate, with a larger λ.

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      weight_decay: λ.
      where: `path -> bool`, which leaves decay; a path reads `layers/0/kernel`.

    Raises:
      ValueError: if an argument lies outside its range, or, at `update`, without parameters.

    Reference: Chen et al. 2023, algorithm 2, arXiv:2302.06675.
    """
    b1, b2 = fraction("b1", b1), fraction("b2", b2)

    def step(g, slots, p, eta):
        m = slots["mean"]
        change = -eta * jnp.sign(b1 * m + (1 - b1) * g)
        return change, {"mean": b2 * m + (1 - b2) * g}

    rule = per_leaf(lambda p: {"mean": jnp.zeros_like(p)}, step, lambda n: (rate_at(rate, n),))
    return with_weight_decay(rule, rate, weight_decay, where)
