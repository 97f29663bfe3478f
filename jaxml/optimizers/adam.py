# SPDX-License-Identifier: Apache-2.0
"""Adam, and its forms that decay weights, never speed up again, or look ahead."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxml.optimizers.decay import with_weight_decay
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


def adam(rate: Rate, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − η m̂/(√v̂ + ε).

    m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) undo the start from 0: the first step is −η·sign(g).

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε, outside of the root as in the paper, PyTorch and Optax.

    Raises:
      ValueError: if `b1` or `b2` lies outside [0, 1) or `eps` is negative.

    Reference: Kingma and Ba 2015, algorithm 1, arXiv:1412.6980.
    """
    return _adam(rate, b1, b2, eps)


def adamw(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    where: Callable[[str], bool] = lambda path: True,
) -> Optimizer:
    """θ ← θ − η(m̂/(√v̂ + ε) + λθ): Adam with the decay beside the gradient and not inside it.

    An L2 penalty would pass through m and v and be divided by √v̂: large gradients would decay
    less. λ is multiplied by η, as in PyTorch and Optax.

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε.
      weight_decay: λ.
      where: `path -> bool`, which leaves decay; a path reads `layers/0/kernel`.

    Raises:
      ValueError: if an argument lies outside its range, or, at `update`, without parameters.

    Reference: Loshchilov and Hutter 2019, algorithm 2, arXiv:1711.05101.
    """
    return with_weight_decay(_adam(rate, b1, b2, eps), rate, weight_decay, where)


def amsgrad(rate: Rate, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """u ← max(u, v̂), θ ← θ − η m̂/(√u + ε): Adam whose steps cannot grow again.

    The maximum is over v̂, with the bias removed, as in Optax; PyTorch takes it over v and removes
    the bias of u.

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε.

    Raises:
      ValueError: if `b1` or `b2` lies outside [0, 1) or `eps` is negative.

    Reference: Reddi, Kale and Kumar 2018, algorithm 2, arXiv:1904.09237.
    """
    b1, b2, eps = fraction("b1", b1), fraction("b2", b2), not_negative("eps", eps)

    def begin(p):
        return at_zero(p) | {"largest": jnp.zeros_like(p)}

    def step(g, slots, p, eta, first, second):
        m, v = follow(g, slots, b1, b2)
        largest = jnp.maximum(slots["largest"], v / second)
        change = -eta * (m / first) / (jnp.sqrt(largest) + eps)
        return change, {"mean": m, "square": v, "largest": largest}

    return per_leaf(begin, step, lambda n: (rate_at(rate, n), debias(b1, n), debias(b2, n)))


def nadam(rate: Rate, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """θ ← θ − η (β₁ m/(1 − β₁ᵗ⁺¹) + (1 − β₁) g/(1 − β₁ᵗ))/(√v̂ + ε): Adam with Nesterov's step.

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1), constant; PyTorch lets it grow by a schedule of its own.
      b2: β₂ in [0, 1).
      eps: ε.

    Raises:
      ValueError: if `b1` or `b2` lies outside [0, 1) or `eps` is negative.

    Reference: Dozat 2016, algorithm 2, with v̂ as in Adam.
    """
    b1, b2, eps = fraction("b1", b1), fraction("b2", b2), not_negative("eps", eps)

    def coefficients(n):
        of_mean, of_gradient = b1 / debias(b1, n + 1), (1 - b1) / debias(b1, n)
        return rate_at(rate, n), of_mean, of_gradient, 1 / jnp.sqrt(debias(b2, n))

    def step(g, slots, p, eta, of_mean, of_gradient, inverse):
        m, v = follow(g, slots, b1, b2)
        ahead = of_mean * m + of_gradient * g
        return -eta * ahead / (jnp.sqrt(v) * inverse + eps), {"mean": m, "square": v}

    return per_leaf(at_zero, step, coefficients)


def radam(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    threshold: float = 5.0,
) -> Optimizer:
    """θ ← θ − η r m̂/(√v̂ + ε) once v̂ is worth dividing by, and θ ← θ − η m̂ before.

    With ρ∞ = 2/(1 − β₂) − 1 and ρ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), the length of the average behind v̂, the
    rectification is r = √((ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ)).

    Args:
      rate: η, a number or a schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε.
      threshold: the least ρ at which v̂ is used: 5 in PyTorch and Optax, 4 in the paper.

    Raises:
      ValueError: if `b1` or `b2` lies outside [0, 1), `eps` is negative or `threshold` below 4.

    Reference: Liu et al. 2020, algorithm 2, arXiv:1908.03265.
    """
    b1, b2, eps = fraction("b1", b1), fraction("b2", b2), not_negative("eps", eps)
    if not threshold >= 4:
        raise ValueError(f"threshold: expected a number of at least 4, got {threshold}")
    longest = 2 / (1 - b2) - 1

    def coefficients(n):
        second = debias(b2, n)
        length = longest - 2 * (n + 1) * (1 - second) / second
        above = (length - 4) * (length - 2) * longest
        below = (longest - 4) * (longest - 2) * length
        used = length >= threshold
        factor = jnp.sqrt(jnp.where(used, above / jnp.where(used, below, 1.0), 1.0))
        return rate_at(rate, n), debias(b1, n), second, used, factor

    def step(g, slots, p, eta, first, second, used, factor):
        m, v = follow(g, slots, b1, b2)
        mean = m / first
        rectified = factor * mean / (jnp.sqrt(v / second) + eps)
        return -eta * jnp.where(used > 0, rectified, mean), {"mean": m, "square": v}

    return per_leaf(at_zero, step, coefficients)


def _adam(rate: Rate, b1: float, b2: float, eps: float) -> Optimizer:
    b1, b2, eps = fraction("b1", b1), fraction("b2", b2), not_negative("eps", eps)

    # Whatever is the same for all numbers is worked out once: one division is left for each.
    def coefficients(n):
        first, second = debias(b1, n), debias(b2, n)
        return jnp.asarray(rate_at(rate, n)).astype(first.dtype) / first, 1 / jnp.sqrt(second)

    def step(g, slots, p, eta, inverse):
        m, v = follow(g, slots, b1, b2)
        return -eta * m / (jnp.sqrt(v) * inverse + eps), {"mean": m, "square": v}

    return per_leaf(at_zero, step, coefficients)
