# SPDX-License-Identifier: Apache-2.0
"""DEIS: Adams and Bashforth's method on the probability flow of x/α over ρ = σ/α.

There d(x/α)/dρ is ε̂ and nothing else, so that the exponential integrator of the paper is a sum of
past ε̂, whose weights are the integrals of a polynomial.
"""

from functools import cache

import jax
import jax.numpy as jnp

from jaxml.diffusion.multistep import extrapolated, remember, start
from jaxml.diffusion.solver import Solver


@cache
def deis(order: int = 3) -> Solver:
    """x_s/α_s = x_t/α_t + ∫ ε̂ dρ, with ε̂ the polynomial in ρ through its last `order` values.

    This is the paper's ρAB-DEIS, for steps of any length. Of first order it is `ddim(0)`. The first
    steps, which have no past, are of one order less, for which the third-order solver looks twice
    in the first of them. A step that begins without signal, where ρ is infinite, or ends clean is
    of first order; the former is no past to the next.

    Args:
      order: 1, 2 or 3.

    Raises:
      ValueError: for another one.

    Reference: Zhang and Chen 2023, section 3, arXiv:2204.13902.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order}")

    def step(denoise, x, now, then, key, past):
        del key
        clean = denoise(x, now)
        signal = now.noise.alpha > 0
        before, after = (p.noise.sigma / p.noise.alpha for p in (now, then))
        h = jnp.where(signal, after - before, -1.0)
        inner = signal & (then.noise.sigma > 0)
        # ∫ u^k/k! du over [0, 1]; the solver of second order has one difference, weighted ½.
        weights = [jnp.asarray(w, h.dtype) for w in (1 / 2, 1 / 2, 1 / 6)]
        ahead = extrapolated(order, h, clean.eps, past, weights)
        euler = then.noise.alpha * clean.x0 + then.noise.sigma * clean.eps

        def begun(x):
            """A trapezoid: a first step of first order would leave an error of second order."""
            return x + then.noise.alpha * h * 0.5 * (denoise(x, then).eps - clean.eps)

        x = euler + then.noise.alpha * jnp.where(inner, h, 0.0) * ahead
        if order == 3:
            x = jax.lax.cond((past.n_values == 0) & inner, begun, lambda x: x, x)
        return x, remember(past, clean.eps, jnp.where(signal, h, -jnp.inf))

    return Solver(start, step)
