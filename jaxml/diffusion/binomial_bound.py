# SPDX-License-Identifier: Apache-2.0
"""The way back of bits, and the bound K, in nats; one value a bit.

Everything is in log-odds log p/(1 − p). Of many small steps each costs very little, and what a
probability near 1 loses when it is rounded would be more than that.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.diffusion.binomial import Bits, Part
from jaxml.numerics import log_sigmoid

Each = Float[Array, "*#shape"]


def binomial_reverse(x: Bits, guess: Each, beta: Part, lost_before: Part) -> Each:
    """p(x_{t−1} = 1 | x_t) = Σ q(x_{t−1} = 1 | x_t, x_0) p(x_0 | x_t), in log-odds.

    Args:
      x: x_t, 0 or 1.
      guess: log-odds of x_0 = 1, given the whole of x_t.
      beta: β_t, t ≥ 2.
      lost_before: `lost` at t − 1.
    """
    of_one, of_zero = _posteriors(x, beta, lost_before)
    log_p, log_rest = log_sigmoid(guess), log_sigmoid(-guess)
    up = jnp.logaddexp(log_p + log_sigmoid(of_one), log_rest + log_sigmoid(of_zero))
    down = jnp.logaddexp(log_p + log_sigmoid(-of_one), log_rest + log_sigmoid(-of_zero))
    return up - down


def binomial_step_divergence(x: Bits, x0: Bits, guess: Each, beta: Part, lost_before: Part) -> Each:
    """KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)), with p of `binomial_reverse`.

    Args:
      x: x_t, 0 or 1.
      x0: x_0, 0 or 1.
      guess: log-odds of x_0 = 1, given the whole of x_t.
      beta: β_t, t ≥ 2.
      lost_before: `lost` at t − 1.

    Reference: Sohl-Dickstein et al. 2015, equation 14 and table App.1, arXiv:1503.03585.
    """
    of_one, of_zero = _posteriors(x, beta, lost_before)
    truth = jnp.where(x0 > 0.5, of_one, of_zero)
    return binomial_divergence(truth, binomial_reverse(x, guess, beta, lost_before))


def binomial_divergence(a: Each, b: Each) -> Each:
    """KL(B(p) ‖ B(q)) = log(1 + p (e^δ − 1)) − p δ with δ = b − a, p = σ(a) and q = σ(b).

    The rarer of both outcomes is the one that is counted, so that δ is seen at any p.

    Args:
      a: log-odds of p.
      b: those of q.
    """
    rare, change = jnp.exp(log_sigmoid(-jnp.abs(a))), jnp.where(a > 0, a - b, b - a)
    # Where one outcome is nearly sure and the other law nearly excludes it, e^δ overflows.
    large = change > 30
    safe = jnp.where(large, 0.0, change)
    small = jnp.log1p(rare * jnp.expm1(safe)) - rare * safe
    return jnp.where(large, jnp.logaddexp(jnp.log(rare) + change, 0.0) - rare * change, small)


def binomial_entropy(p: Each) -> Each:
    """−p log p − (1 − p) log (1 − p), where 0 log 0 = 0."""
    some, rest = jnp.where(p > 0, p, 1.0), jnp.where(p < 1, p, 0.0)
    return -some * jnp.log(some) - (1 - rest) * jnp.log1p(-rest)


def binomial_k_bound(steps: Each, beta: Part) -> Each:
    """K = −Σ_{t≥2} KL + H_q(X_T | X_0) − H_q(X_1 | X_0) − H_p(X_T), per bit, where β_T = 1.

    After the last step a bit is a fair coin whatever it was, so that two of the entropies cancel.
    The mean over the data is a lower bound of the mean of log p(x_0): under fair coins all x are
    equally likely, so that the chain's first step is its own reverse.

    Args:
      steps: Σ of `binomial_step_divergence` over t = 2 … T.
      beta: β_1; a bit changes in the first step with probability ½ β_1, whichever it is.

    Reference: Sohl-Dickstein et al. 2015, equation 14, arXiv:1503.03585.
    """
    return -steps - binomial_entropy(0.5 * jnp.asarray(beta))


def _posteriors(x: Bits, beta: Part, lost_before: Part) -> tuple[Each, Each]:
    """Log-odds of x_{t−1} = 1, given x_t and x_0 = 1 or x_0 = 0: prior odds times likelihoods."""
    prior = jnp.log(2 - lost_before) - jnp.log(lost_before)
    likelihood = jnp.log(2 - beta) - jnp.log(beta)
    seen = (2 * x - 1) * likelihood
    return seen + prior, seen - prior
