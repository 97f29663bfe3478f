# SPDX-License-Identifier: Apache-2.0
"""Muon: momentum whose matrices are made orthogonal before they are added."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from jaxml.optimizers.optimizer import (
    Optimizer,
    Rate,
    debias,
    fraction,
    not_negative,
    per_leaf,
    rate_at,
)
from jaxml.types import Array

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Slope 3.4 at 0 and values between 0.7 and 1.2 on (0, 1]: five iterations suffice from 0.005."""


def muon(
    rate: Rate,
    *,
    decay: float = 0.95,
    iterations: int = 5,
    coefficients: Sequence[float] = QUINTIC,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """θ ← θ − η(√max(1, n/m) orthogonalize(m̂) + λθ) for matrices m × n of inputs and outputs.

    m̂ = β m/(1 − βᵗ⁺¹) + (1 − β) g/(1 − βᵗ) is Nesterov's average as in NAdam. It is made for the
    hidden matrices of a network; embeddings, heads, biases and scales belong to Adam, such as by
    `optax.partition`. Leading axes count matrices.

    Args:
      rate: η, a number or a schedule.
      decay: β in [0, 1).
      iterations: of Newton and Schulz.
      coefficients: of their quintic.
      eps: added to the norm that a matrix is divided by.
      weight_decay: λ.

    Raises:
      ValueError: if an argument lies outside its range, a leaf is no matrix, or, at `update`,
        parameters are missing.

    Reference: Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks; the
    scale is that of Bernstein and Newhouse 2024, arXiv:2410.21265.
    """
    beta, shrink = fraction("decay", decay), not_negative("weight_decay", weight_decay)

    def begin(p):
        if p.ndim < 2:
            raise ValueError(f"muon: expected leaves that are matrices, got shape {p.shape}")
        return {"mean": jnp.zeros_like(p)}

    def step(g, slots, p, eta, first, following):
        m = beta * slots["mean"] + (1 - beta) * g
        ahead = beta * m / following + (1 - beta) * g / first
        u = orthogonalize(ahead, iterations=iterations, coefficients=coefficients, eps=eps)
        u = u * max(1.0, g.shape[-1] / g.shape[-2]) ** 0.5
        return -eta * (u + shrink * p), {"mean": m}

    return per_leaf(
        begin,
        step,
        lambda n: (rate_at(rate, n), debias(beta, n), debias(beta, n + 1)),
        needs_params=True,
    )


def orthogonalize(
    x: Float[Array, "*batch m n"],
    *,
    iterations: int = 5,
    coefficients: Sequence[float] = QUINTIC,
    eps: float = 1e-8,
) -> Float[Array, "*batch m n"]:
    """U Vᵀ for x = U S Vᵀ, nearly: X ← aX + (bA + cA²)X with A = X Xᵀ, from X = x/‖x‖.

    Each singular value goes through s ← as + bs³ + cs⁵. With the quintic of Muon it ends between
    0.7 and 1.2 and not at 1, which serves as well and takes fewer iterations.

    Args:
      x: matrices.
      iterations: how often.
      coefficients: a, b, c. (15/8, −5/4, 3/8) converges to 1.
      eps: added to ‖x‖.

    Reference: Jordan et al. 2024; Björck and Bowie 1971.
    """
    a, b, c = coefficients
    tall = x.shape[-2] > x.shape[-1]
    y = x.mT if tall else x  # the smaller of the two Gram matrices
    y = y / (jnp.sqrt(jnp.sum(jnp.square(y), (-2, -1), keepdims=True)) + eps)
    for _ in range(iterations):
        gram = y @ y.mT
        y = a * y + (b * gram + c * (gram @ gram)) @ y
    return y.mT if tall else y
