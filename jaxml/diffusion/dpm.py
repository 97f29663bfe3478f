# SPDX-License-Identifier: Apache-2.0
"""DPM-Solver++: the linear part of the equation exactly, x̂_0 by what it was in the steps before.

With ℓ = log(α/σ) and h = ℓ_s − ℓ_t for the step from t to s, x_s is (σ_s/σ_t) x_t +
α_s ∫ e^(ℓ − ℓ_s) x̂_0 dℓ, and x̂_0 is replaced by a polynomial in ℓ through its last values.
"""

from functools import cache

import jax
import jax.numpy as jnp

from jaxml.diffusion.multistep import exponential, extrapolated, remember, start
from jaxml.diffusion.solver import Solver


@cache
def dpm_plus_plus(order: int = 2) -> Solver:
    """The multistep solver of first, second or third order, one evaluation a step.

    Of first order it is `ddim(0)`. The first steps, which have no past, are of one order less, for
    which the third-order solver looks twice in the first of them; a step that begins without signal
    or ends clean, which has no length in ℓ, is of first order and no past to the next.

    Args:
      order: 1, 2 or 3.

    Raises:
      ValueError: for another one.

    Reference: Lu et al. 2022, algorithm 2 and appendix, arXiv:2211.01095.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order}")

    def step(denoise, x, now, then, key, past):
        del key
        x0 = denoise(x, now).x0
        h = 0.5 * (then.noise.log_snr - now.noise.log_snr)
        linear = then.noise.sigma / now.noise.sigma * x
        ends = jnp.isinf(h)
        finite = jnp.where(ends, 1.0, h)
        weights = (0.5 * exponential(0, finite), exponential(1, finite), exponential(2, finite))
        change = exponential(0, finite) * x0 + extrapolated(order, finite, x0, past, weights)
        change = jnp.where(ends, x0, change)

        def begun(x):
            """A trapezoid: a first step of first order would leave an error of second order."""
            slope = denoise(x, then).x0 - x0
            return linear + then.noise.alpha * (change + weights[1] * slope)

        x = linear + then.noise.alpha * change
        if order == 3:
            x = jax.lax.cond((past.n_values == 0) & ~ends, begun, lambda x: x, x)
        return x, remember(past, x0, h)

    return Solver(start, step)


@cache
def dpm_plus_plus_sde() -> Solver:
    """The second-order solver of the reverse stochastic equation, one evaluation a step.

    x_s = (σ_s/σ_t) e^−h x_t + α_s (1 − e^−2h) (x̂_0 + ½ Δ) + σ_s √(1 − e^−2h) z, Δ the change of x̂_0
    that the last step lets expect of this one.

    Reference: Lu et al. 2022, section 5, arXiv:2211.01095.
    """

    def step(denoise, x, now, then, key, past):
        x0 = denoise(x, now).x0
        h = 0.5 * (then.noise.log_snr - now.noise.log_snr)
        ends = jnp.isinf(h) | (past.n_values == 0)
        ahead = jnp.where(ends, 0.0, h) / jnp.where(past.n_values == 0, 1.0, past.h)
        gone = -jnp.expm1(-2 * h)
        z = jax.random.normal(key, x.shape, x.dtype)
        kept = then.noise.sigma / now.noise.sigma * jnp.exp(-h)
        x = (
            kept * x
            + then.noise.alpha * gone * (x0 + 0.5 * ahead * (x0 - past.value))
            + then.noise.sigma * jnp.sqrt(gone) * z
        )
        return x, remember(past, x0, h)

    return Solver(start, step)
