# SPDX-License-Identifier: Apache-2.0
"""UniPC: every evaluation first corrects the step that led to it, and then predicts the next.

As in DPM-Solver++ the linear part of the equation is exact and x̂_0 a polynomial in ℓ = log(α/σ).
The polynomial of the predictor ends where a step begins, that of the corrector where it ends.
"""

from functools import cache

import jax.numpy as jnp

from jaxml.diffusion.multistep import Past, exponential, extrapolated, remember, slope, start
from jaxml.diffusion.solver import Event, Solver


@cache
def unipc(order: int = 2) -> Solver:
    """x ← x + α Σ w_k (c_k − p_k), c and p the corrector's and the predictor's differences of x̂_0.

    One evaluation a step: x̂_0 at the predicted x corrects it, and is not looked up again. The last
    x of a grid is a predicted one, with an error in one step that is not more than what all others
    have summed up. The predictor is of one order less, and so the first steps need no special care.
    Weights are those of the exact integrals, and for a single difference the half of
    B_2(h) = 1 − e^−h, which makes a step from a point without signal a trapezoid in α/σ.

    Args:
      order: 1, 2 or 3, that of the error after many steps, which the corrector makes one more than
        its predictor's: `unipc(2)` and `unipc(3)` are UniPC-1 and UniPC-2 of the paper. Of first
        order there is no corrector, and it is `ddim(0)`.

    Raises:
      ValueError: for another order.

    Reference: Zhao et al. 2023, theorem 3.1 and corollary 3.2, arXiv:2302.04867.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order}")

    def step(denoise, x, now, then, key, past):
        del key
        x0 = denoise(x, now).x0
        x = x + now.noise.alpha * _correction(order, x0, past)
        h = 0.5 * (then.noise.log_snr - now.noise.log_snr)
        ends = jnp.isinf(h)
        finite = jnp.where(ends, 1.0, h)
        whole, none = exponential(0, finite), jnp.zeros_like(h)
        ahead = extrapolated(max(order - 1, 1), finite, x0, past, (0.5 * whole, none, none))
        change = jnp.where(ends, x0, whole * x0 + ahead)
        x = then.noise.sigma / now.noise.sigma * x + then.noise.alpha * change
        return x, remember(past, x0, h)

    return Solver(start, step)


def _correction(order: int, x0: Event, past: Past) -> Event:
    """What the last step should have added to x/α, had it known x̂_0 where it led to."""
    if order == 1:
        return jnp.zeros_like(x0)
    endless = jnp.isinf(past.h)
    h = jnp.where(endless, 1.0, past.h)
    half = jnp.where(endless, 0.5, 0.5 * exponential(0, h))
    begun = endless | (past.n_values > 0)
    change = jnp.where(begun, x0 - past.value, 0.0)
    if order == 2:
        return half * change
    two = past.n_values > 1
    behind = slope(past, h)
    curved = (change - behind) / (1 + jnp.where(two, past.earlier_h, 1.0) / h)
    known = exponential(1, h) * (change - curved) + exponential(2, h) * 2 * curved
    return jnp.where(two, known - half * behind, half * change)
