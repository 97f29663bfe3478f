# SPDX-License-Identifier: Apache-2.0
"""Metropolis and Hastings: any proposal becomes a kernel that keeps the target."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.probability.mcmc.chain import Chain, LogProb, Move, start
from jaxml.types import Key, Scalar


class Proposal(NamedTuple):
    """Where a chain might go.

    Attributes:
      x: x′.
      log_correction: log q(x | x′) − log q(x′ | x), 0 for a symmetric proposal.
    """

    x: Shaped[Array, "*event"]
    log_correction: Scalar


def log_acceptance(
    log_prob: Float[Array, "*#shape"],
    proposed: Float[Array, "*#shape"],
    log_correction: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log α = min(0, log p(x′) − log p(x) + log q(x | x′) − log q(x′ | x)).

    −∞ where p(x′) = 0 or is no number: such a step is never taken.

    Args:
      log_prob: log p(x).
      proposed: log p(x′).
      log_correction: of the proposal, see `Proposal`.

    Reference: Hastings 1970, Biometrika 57, section 2.3.
    """
    ratio = jnp.minimum(0.0, proposed - log_prob + log_correction)
    return jnp.where(jnp.isnan(ratio) | jnp.isneginf(proposed), -jnp.inf, ratio)


def accept(log_alpha: Float[Array, "*shape"], key: Key) -> Bool[Array, "*shape"]:
    """Whether log u < log α for a uniform u, whose logarithm is −1 times an exponential."""
    log_u = -jax.random.exponential(key, log_alpha.shape, log_alpha.dtype)
    return log_u <= log_alpha  # a drawn 0 stands for some u < 1, and log α = 0 is always taken


def decide(
    now: Chain, then: Chain, log_correction: Float[Array, ""], key: Key
) -> tuple[Chain, Move]:
    """The proposed chain with probability α, otherwise the present one."""
    log_alpha = log_acceptance(now.log_prob, then.log_prob, log_correction)
    taken = accept(log_alpha, key)
    chain = jax.tree.map(lambda new, old: jnp.where(taken, new, old), then, now)
    return chain, Move(jnp.exp(log_alpha), taken, then.log_prob - now.log_prob)


def metropolis_hastings(
    log_prob: LogProb, chain: Chain, key: Key, propose: Callable[[Array, Key], Proposal]
) -> tuple[Chain, Move]:
    """One step of Metropolis and Hastings with any proposal.

    Args:
      log_prob: of the target.
      chain: where it stands, by `start`.
      key: for the proposal and the decision.
      propose: `(x, key) -> Proposal`.

    Reference: Hastings 1970, Biometrika 57, section 2.3.
    """
    propose_key, accept_key = jax.random.split(key)
    proposal = propose(chain.x, propose_key)
    then = start(log_prob, proposal.x)
    return decide(chain._replace(slope=None), then, proposal.log_correction, accept_key)


def random_walk(
    log_prob: LogProb, chain: Chain, key: Key, scale: float | Float[Array, "..."]
) -> tuple[Chain, Move]:
    """One step of Metropolis: x′ = x + s ε, ε from N(0, I).

    Args:
      log_prob: of the target.
      chain: where it stands, by `start`.
      key: for ε and the decision.
      scale: s, a number or one an element of x; 2.4/√d standard deviations of a target of d
        numbers is a good one.

    Reference: Metropolis et al. 1953; Gelman et al. 1996 for the scale.
    """

    def propose(x: Array, key: Key) -> Proposal:
        eps = jax.random.normal(key, x.shape, x.dtype)
        return Proposal(x + scale * eps, jnp.zeros((), chain.log_prob.dtype))

    return metropolis_hastings(log_prob, chain, key, propose)
