# SPDX-License-Identifier: Apache-2.0
"""LAMB: Adam whose steps are as long as the weights of each layer allow."""

import jax.numpy as jnp

from jaxml.optimizers.moments import at_zero, follow
from jaxml.optimizers.optimizer import (
    Optimizer,
    Rate,
    debias,
    fraction,
    not_negative,
    per_leaf,
    rate_at,
)


def lamb(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> Optimizer:
    """u = m̂/(√v̂ + ε) + λθ, θ ← θ − η (‖θ‖/‖u‖) u, leaf by leaf.

    The ratio is 1 where either norm is 0, so that what starts at 0 can leave it.

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε.
      weight_decay: λ.

    Raises:
      ValueError: if an argument lies outside its range, or, at `update`, without parameters.

    Reference: You et al. 2020, algorithm 2 with φ(z) = z, arXiv:1904.00962.
    """
    b1, b2, eps = fraction("b1", b1), fraction("b2", b2), not_negative("eps", eps)
    decay = not_negative("weight_decay", weight_decay)

    def step(g, slots, p, eta, first, second):
        m, v = follow(g, slots, b1, b2)
        u = (m / first) / (jnp.sqrt(v / second) + eps) + decay * p
        # One reading each: neither weights nor steps are near the ends of the range of floats.
        above, below = (jnp.sqrt(jnp.sum(jnp.square(x))) for x in (p, u))
        moving = (above > 0) & (below > 0)
        ratio = jnp.where(moving, above / jnp.where(moving, below, 1.0), 1.0)
        return -eta * ratio * u, {"mean": m, "square": v}

    return per_leaf(
        at_zero,
        step,
        lambda n: (rate_at(rate, n), debias(b1, n), debias(b2, n)),
        needs_params=True,
    )
