# SPDX-License-Identifier: Apache-2.0
"""AdaGrad: steps that shrink with all gradients so far."""

import jax.numpy as jnp

from jaxml.optimizers.optimizer import Optimizer, Rate, not_negative, per_leaf, rate_at


def adagrad(
    rate: Rate, *, eps: float = 1e-10, eps_inside: bool = False, initial: float = 0.0
) -> Optimizer:
    """r ← r + g², θ ← θ − ηg/(δ + √r), or with δ inside the root, θ ← θ − ηg/√(δ + r).

    The literature has both; the square is that of the gradient. PyTorch has δ outside and starts at
    0; Optax has it inside, 1e-7, and starts at 0.1.

    Args:
      rate: η, a number or a schedule.
      eps: δ.
      eps_inside: whether δ stands inside the root.
      initial: r at the start.

    Raises:
      ValueError: if `eps` or `initial` is negative.

    Reference: Duchi, Hazan and Singer 2011, figure 1.
    """
    delta, start = not_negative("eps", eps), not_negative("initial", initial)

    def step(g, slots, p, eta):
        r = slots["square"] + jnp.square(g)
        return -eta * over_root(g, r, delta, eps_inside), {"square": r}

    return per_leaf(
        lambda p: {"square": jnp.full_like(p, start)}, step, lambda n: (rate_at(rate, n),)
    )


def over_root(g, r, delta: float, inside: bool):
    """g/(δ + √r) or g/√(δ + r); 0 where gradient and denominator are both 0."""
    below = jnp.sqrt(delta + r) if inside else delta + jnp.sqrt(r)
    return jnp.where(below == 0, 0, g / jnp.where(below == 0, 1.0, below))
