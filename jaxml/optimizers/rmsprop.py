# SPDX-License-Identifier: Apache-2.0
"""RMSProp: AdaGrad that forgets."""

import jax.numpy as jnp

from jaxml.optimizers.adagrad import over_root
from jaxml.optimizers.optimizer import Optimizer, Rate, fraction, not_negative, per_leaf, rate_at


def rmsprop(
    rate: Rate,
    *,
    decay: float = 0.9,
    eps: float = 1e-8,
    eps_inside: bool = False,
    centered: bool = False,
    momentum: float = 0.0,
) -> Optimizer:
    """r ← ρr + (1 − ρ)g², v ← αv − ηg/(δ + √r), θ ← θ + v.

    Without the decay ρ, as it is sometimes printed, this is AdaGrad again. PyTorch has δ outside of
    the root as here, ρ = 0.99 and η outside of v; Optax has δ inside by default.

    Args:
      rate: η, a number or a schedule.
      decay: ρ in [0, 1).
      eps: δ.
      eps_inside: whether δ stands inside the root.
      centered: take r − m² with m ← ρm + (1 − ρ)g, an estimate of the variance, in place of r.
      momentum: α in [0, 1); 0 keeps no velocity.

    Raises:
      ValueError: if `decay` or `momentum` lies outside [0, 1) or `eps` is negative.

    Reference: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, equations 38 to 41,
    arXiv:1308.0850.
    """
    rho, alpha = fraction("decay", decay), fraction("momentum", momentum)
    delta = not_negative("eps", eps)
    names = [*(["variance", "mean"] if centered else ["square"]), *(["velocity"] if alpha else [])]

    def step(g, slots, p, eta):
        if centered:
            # r − m² by a recurrence of its own: a difference would lose its digits, and its sign.
            apart = g - slots["mean"]
            spread = rho * (slots["variance"] + (1 - rho) * jnp.square(apart))
            new = {"variance": spread, "mean": slots["mean"] + (1 - rho) * apart}
        else:
            spread = rho * slots["square"] + (1 - rho) * jnp.square(g)
            new = {"square": spread}
        change = -eta * over_root(g, spread, delta, eps_inside)
        if alpha:
            change = new["velocity"] = alpha * slots["velocity"] + change
        return change, new

    return per_leaf(
        lambda p: {name: jnp.zeros_like(p) for name in names}, step, lambda n: (rate_at(rate, n),)
    )
