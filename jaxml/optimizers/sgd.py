# SPDX-License-Identifier: Apache-2.0
"""Gradient descent: plain, with momentum, and with Nesterov's look-ahead."""

import jax
import jax.numpy as jnp

from jaxml.optimizers.optimizer import Optimizer, Rate, fraction, per_leaf, rate_at
from jaxml.types import PyTree


def sgd(rate: Rate) -> Optimizer:
    """θ ← θ − ηg.

    Args:
      rate: η, a number or a schedule.

    Reference: Robbins and Monro 1951.
    """
    return per_leaf(
        lambda p: {}, lambda g, slots, p, eta: (-eta * g, slots), lambda n: (rate_at(rate, n),)
    )


def momentum(rate: Rate, decay: float = 0.9) -> Optimizer:
    """v ← αv − ηg, θ ← θ + v, with the learning rate inside the velocity.

    v is a discounted sum of steps, 1/(1 − α) times as long as one of them, and not an average.
    Optax and PyTorch keep the sum of gradients b and take θ ← θ − ηb: the same trajectory while η
    is constant; under a schedule a velocity of ours remembers the rates it was made with.

    Args:
      rate: η, a number or a schedule.
      decay: α in [0, 1).

    Raises:
      ValueError: if `decay` lies outside [0, 1).

    Reference: Polyak 1964; in this form Goodfellow, Bengio and Courville 2016, equations 8.15
    and 8.16.
    """
    alpha = fraction("decay", decay)

    def step(g, slots, p, eta):
        v = alpha * slots["velocity"] - eta * g
        return v, {"velocity": v}

    return per_leaf(_at_rest, step, lambda n: (rate_at(rate, n),))


def nesterov(rate: Rate, decay: float = 0.9) -> Optimizer:
    """v ← αv − ηg(θ + αv), θ ← θ + v, written for φ = θ + αv: φ ← φ + αv − ηg(φ).

    The parameters that this rule moves are the point φ at which the gradient is taken, so that a
    loss is evaluated once a step and where the parameters are. `behind` gives θ back. Optax and
    PyTorch move φ as well, with the learning rate outside the velocity.

    Args:
      rate: η, a number or a schedule.
      decay: α in [0, 1).

    Raises:
      ValueError: if `decay` lies outside [0, 1).

    Reference: Sutskever et al. 2013, equations 3 and 4; the change of variable: Bengio,
    Boulanger-Lewandowski and Pascanu 2012, section 3.5, arXiv:1212.0901.
    """
    alpha = fraction("decay", decay)

    def step(g, slots, p, eta):
        v = alpha * slots["velocity"] - eta * g
        return alpha * v - eta * g, {"velocity": v}

    return per_leaf(_at_rest, step, lambda n: (rate_at(rate, n),))


def behind(params: PyTree, state: PyTree, decay: float = 0.9) -> PyTree:
    """θ = φ − αv: the iterate of Nesterov's method whose look-ahead point the parameters are.

    Args:
      params: φ, as `nesterov` moves them.
      state: of `nesterov`.
      decay: α, as it was given to `nesterov`.
    """
    return jax.tree.map(
        lambda p, v: (p - decay * v).astype(p.dtype), params, state["slots"]["velocity"]
    )


def _at_rest(p):
    return {"velocity": jnp.zeros_like(p)}
