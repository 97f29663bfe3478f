# SPDX-License-Identifier: Apache-2.0
"""The parts of log p(x_0) ≥ log p(x_0 | x_1) − Σ KL − KL(q(x_T | x_0) ‖ p(x_T)), in nats.

One value an element; an event's is their sum. The chain has the levels 0 … T, clean at 0.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.noise import Noise, posterior, transition
from jaxml.probability import discretized_normal, normal
from jaxml.types import Scalar

Event = Float[Array, "*batch_and_event"]
Variance = Float[Array, "*t"]


def reverse_variance(before: Noise, after: Noise, *, large: bool = False) -> Variance:
    """β̃, the variance of q(x_s | x_t, x_0), or with `large` β, that of q(x_t | x_s).

    They are the best variances of a reverse step for data that are one point, and for data of unit
    variance. Where x_s is clean, β̃ is 0 and no choice.

    Args:
      before: at s.
      after: at t > s.
      large: which of them.

    Reference: Ho et al. 2020, section 3.2, arXiv:2006.11239.
    """
    return transition(before, after).variance if large else posterior(before, after).variance


def best_variance(before: Noise, after: Noise, error: Variance) -> Variance:
    """β̃ + (α_s (1 − ρ))² E(x_0 − x̂_0)²: the variance with the least divergence at this error.

    Args:
      before: at s.
      after: at t > s.
      error: the mean square of x_0 − x̂_0 at t, over draws and elements.

    Reference: Bao et al. 2022, theorem 1, arXiv:2201.06503.
    """
    step = posterior(before, after)
    return step.variance + jnp.square(step.of_start) * error


def step_divergence(
    x0: Event, guess: Event, before: Noise, after: Noise, variance: Variance
) -> Event:
    """KL(q(x_s | x_t, x_0) ‖ N(its mean at x̂_0, v)) = ½ (r − 1 − log r + (c (x_0 − x̂_0))²/v).

    r = β̃/v and c is what a posterior takes of x_0; both laws take the same of x_t.

    Args:
      x0: x_0.
      guess: x̂_0, made of x_t.
      before: at s, one number or one a row; not clean.
      after: at t > s.
      variance: v of the model's step.

    Reference: Ho et al. 2020, equation 5, arXiv:2006.11239.
    """
    step = posterior(before.over(x0), after.over(x0))
    variance = variance.reshape(variance.shape + (1,) * (x0.ndim - variance.ndim))
    log_ratio = jnp.log(step.variance) - jnp.log(variance)
    square = jnp.square(step.of_start * (x0 - guess)) / variance
    return 0.5 * (jnp.expm1(log_ratio) - log_ratio + square)


def prior_divergence(x0: Event, last: Noise, scale: float | Scalar = 1.0) -> Event:
    """KL(q(x_T | x_0) ‖ N(0, s²)), what the data still are where the model begins.

    Args:
      x0: x_0.
      last: at T, one number or one a row.
      scale: s > 0; 1 for a variance-preserving schedule, σ_T for an exploding one.
    """
    last = last.over(x0)
    log_variance = 2 * jnp.log(last.sigma / scale)
    return normal.kl_to_standard(last.alpha * x0 / scale, log_variance)


def reconstruction(x0: Event, guess: Event, variance: Variance) -> Event:
    """log N(x_0; x̂_0, v), the step that ends clean: a density of data that are real numbers.

    Args:
      x0: x_0.
      guess: x̂_0, made of x_1.
      variance: v.
    """
    variance = variance.reshape(variance.shape + (1,) * (x0.ndim - variance.ndim))
    return normal.log_prob(x0, guess, jnp.log(variance))


def discretized_reconstruction(x0: Event, guess: Event, variance: Variance, levels: int) -> Event:
    """log P(x_0 | x_1): the step that ends clean, as a probability of whole numbers in [−1, 1].

    Args:
      x0: levels −1, −1 + 2/(L − 1), ..., 1.
      guess: x̂_0, made of x_1.
      variance: v.
      levels: L.

    Reference: Ho et al. 2020, equation 13, arXiv:2006.11239.
    """
    variance = variance.reshape(variance.shape + (1,) * (x0.ndim - variance.ndim))
    return discretized_normal.log_prob(x0, guess, jnp.log(variance), n_levels=levels)


def tied_reconstruction(x0: Event, x1: Event, first: Noise) -> Event:
    """log q(x_1 | x_0) π(x_0)/π(x_1), π = N(0, 1): the chain's first step, turned round.

    A chain that leaves π alone is its own reverse where the data have the law π. With this last
    step the variational bound is K up to log π(x_0)/π(x_1), whose mean over data of unit variance
    is 0.

    Args:
      x0: x_0.
      x1: x_1.
      first: at 1, with α² + σ² = 1.

    Reference: Sohl-Dickstein et al. 2015, appendix B.2, arXiv:1503.03585.
    """
    first, zero = first.over(x0), jnp.zeros((), x0.dtype)
    forth = normal.log_prob(x1, first.alpha * x0, 2 * jnp.log(first.sigma))
    return forth + normal.log_prob(x0, zero, zero) - normal.log_prob(x1, zero, zero)


def k_bound(steps: Event, first: Noise, last: Noise) -> Event:
    """K = −Σ_{t≥2} KL + H_q(X_T | X_0) − H_q(X_1 | X_0) − H_p(X_T), per element.

    Its mean over the data is a lower bound of the mean of log p(x_0), where the data have unit
    variance; K of one example bounds nothing.

    Args:
      steps: Σ of `step_divergence` over the steps to 1 … T − 1.
      first: at 1.
      last: at T.

    Reference: Sohl-Dickstein et al. 2015, equation 14, arXiv:1503.03585.
    """
    of_last = normal.entropy(2 * jnp.log(last.sigma))
    of_first = normal.entropy(2 * jnp.log(first.sigma))
    return -steps + (of_last - of_first - 0.5 * (math.log(2 * math.pi) + 1))
