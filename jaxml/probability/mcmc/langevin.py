# SPDX-License-Identifier: Apache-2.0
"""Langevin dynamics: along the slope of log p with noise, biased or corrected by Metropolis."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.mcmc.chain import Chain, LogProb, Move
from jaxml.probability.mcmc.metropolis import decide
from jaxml.types import Key

Step = float | Float[Array, ""]


def langevin(
    score: Callable[[Array], Array], x: Float[Array, "*shape"], key: Key, step_size: Step
) -> Float[Array, "*shape"]:
    """x + h ∇ log p(x) + √(2h) ε, ε from N(0, I): one step, of one chain or of a batch of them.

    Not corrected: it is stable for h < 2/λ only, λ the largest curvature of −log p, and its
    stationary law is not p (see `unadjusted_covariance`).

    Args:
      score: ∇ log p, of the shape of x.
      x: where it stands.
      key: for ε.
      step_size: h.

    Reference: Roberts and Tweedie 1996, Bernoulli 2(4), section 1.4.
    """
    eps = jax.random.normal(key, x.shape, x.dtype)
    return x + step_size * score(x) + jnp.sqrt(jnp.asarray(2 * step_size, x.dtype)) * eps


def unadjusted_covariance(precision: Float[Array, "d d"], step_size: Step) -> Float[Array, "d d"]:
    """A⁻¹(I − hA/2)⁻¹: what uncorrected steps leave of N(0, A⁻¹), for h < 2/λ_max(A).

    For A = 1 and h = 0.1 a variance of 1.0526 in place of 1.

    Args:
      precision: A, symmetric and positive definite.
      step_size: h.
    """
    A = precision
    eye = jnp.eye(len(A), dtype=A.dtype)
    return jnp.linalg.inv(A @ (eye - 0.5 * step_size * A))


def adjusted_langevin(
    log_prob: LogProb, chain: Chain, key: Key, step_size: Step
) -> tuple[Chain, Move]:
    """One Langevin step as a proposal of Metropolis and Hastings (MALA), which keeps p exactly.

    Args:
      log_prob: of the target.
      chain: where it stands, by `start(..., slope=True)`.
      key: for noise and decision.
      step_size: h; about 57 % of proposals are taken at the best one in many dimensions.

    Raises:
      ValueError: if the chain has no slope.

    Reference: Roberts and Tweedie 1996, Bernoulli 2(4), section 1.4.2; Roberts and Rosenthal 1998
    for the share.
    """
    if chain.slope is None:
        raise ValueError("chain: expected one with its slope, start(log_prob, x, slope=True)")
    propose_key, accept_key = jax.random.split(key)
    slope = chain.slope
    x = langevin(lambda _: slope, chain.x, propose_key, step_size)
    there, uphill = jax.value_and_grad(log_prob)(x)
    forth = _log_density(x - chain.x, slope, step_size)
    back = _log_density(chain.x - x, uphill, step_size)
    return decide(chain, Chain(x, there, uphill), back - forth, accept_key)


def _log_density(moved: Array, slope: Array, h: Step) -> Array:
    """log N(x + moved; x + h slope, 2h I), without its constant."""
    return -jnp.sum(jnp.square(moved - h * slope)) / (4 * h)
