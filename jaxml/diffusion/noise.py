# SPDX-License-Identifier: Apache-2.0
"""How much noise there is at a time: x_t = α x_0 + σ ε, and what leads from one time to another."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Each = Float[Array, "*t"]


class Noise(NamedTuple):
    """α, σ and the logarithm of their ratio, each with all its digits.

    Attributes:
      alpha: α, 0 where nothing is left of x_0.
      sigma: σ, 0 where there is no noise.
      log_snr: λ = log(α²/σ²), the logarithm of the signal-to-noise ratio; infinite at such ends.
    """

    alpha: Each
    sigma: Each
    log_snr: Each

    def over(self, x: Array) -> "Noise":
        """The same, one a row of x, with axes of 1 behind so that it broadcasts against x."""
        return Noise(*(a.reshape(a.shape + (1,) * (x.ndim - a.ndim)) for a in self))


class Transition(NamedTuple):
    """q(x_t | x_s) = N(scale · x_s, variance) for s < t."""

    scale: Each
    variance: Each


class Posterior(NamedTuple):
    """q(x_s | x_t, x_0) = N(of_now · x_t + of_start · x_0, variance) for s < t."""

    of_now: Each
    of_start: Each
    variance: Each


def diffuse(
    x0: Float[Array, "*batch_and_event"], eps: Float[Array, "*batch_and_event"], noise: Noise
) -> Float[Array, "*batch_and_event"]:
    """x_t = α x_0 + σ ε, a draw of q(x_t | x_0) at any t in one step.

    Args:
      x0: data.
      eps: a draw of N(0, I).
      noise: at t, one number or one a row.

    Reference: Sohl-Dickstein et al. 2015, appendix B.1.2, arXiv:1503.03585; Ho et al. 2020,
    equation 4, arXiv:2006.11239.
    """
    noise = noise.over(x0)
    return noise.alpha * x0 + noise.sigma * eps


def transition(before: Noise, after: Noise) -> Transition:
    """One step, or many at once, of the forward process: α_t/α_s and σ_t² − (α_t/α_s)² σ_s².

    The variance is −expm1(λ_t − λ_s) σ_t², which subtracts no two near numbers; over one step of a
    DDPM it is β.

    Args:
      before: at s.
      after: at t > s.

    Reference: Kingma et al. 2021, equations 20 and 21, arXiv:2107.00630.
    """
    return Transition(after.alpha / before.alpha, _lost(before, after) * jnp.square(after.sigma))


def posterior(before: Noise, after: Noise) -> Posterior:
    """Where x_s was, given where x_t is and x_0: the reverse step that training imitates.

    With ρ = e^(λ_t − λ_s): α_t σ_s²/(α_s σ_t²), α_s (1 − ρ) and σ_s² (1 − ρ). All are finite where
    σ_s = 0 and where α_t = 0.

    Args:
      before: at s.
      after: at t > s.

    Reference: Kingma et al. 2021, equations 25 and 26, arXiv:2107.00630; with s = t − 1 Ho et al.
    2020, equation 7, arXiv:2006.11239.
    """
    lost = _lost(before, after)
    shrunk = jnp.square(before.sigma / after.sigma)
    return Posterior(
        after.alpha / before.alpha * shrunk, before.alpha * lost, jnp.square(before.sigma) * lost
    )


def _lost(before: Noise, after: Noise) -> Each:
    """1 − SNR_t/SNR_s, the part of the signal-to-noise ratio that a step loses."""
    return -jnp.expm1(after.log_snr - before.log_snr)
