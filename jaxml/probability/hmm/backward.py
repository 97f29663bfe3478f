# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models backwards: what is known of states from all observations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.hmm.forward import (
    Initial,
    LogLikelihood,
    Mask,
    Probabilities,
    Transition,
    filtered,
)
from jaxml.types import Scalar


class Posterior(NamedTuple):
    """What is known of every state.

    Attributes:
      log_evidence: log p(x) in nats.
      filtered: p(z_t | x_1 … x_t).
      smoothed: p(z_t | x).
      ratio: p(z_t | x) / p(z_t | x_1 … x_{t−1}), from the second time on; 0 where both are 0.
    """

    log_evidence: Scalar
    filtered: Probabilities
    smoothed: Probabilities
    ratio: Float[Array, "t_minus_1 k"]


def posterior(
    log_initial: Initial,
    log_transition: Transition,
    log_likelihood: LogLikelihood,
    *,
    mask: Mask = None,
) -> Posterior:
    """p(z_t | x) = p(z_t | x_≤t) Σ_{z_{t+1}} P(z_{t+1} | z_t) p(z_{t+1} | x) / p(z_{t+1} | x_≤t).

    Args:
      log_initial: as for `filtered`.
      log_transition: as for `filtered`.
      log_likelihood: as for `filtered`.
      mask: as for `filtered`.

    Reference: Rauch, Tung and Striebel's form for discrete states; Murphy 2012, Machine Learning,
    section 17.4.3.
    """
    evidence, found = filtered(log_initial, log_transition, log_likelihood, mask=mask)
    transition = jnp.exp(log_transition)
    each = transition.ndim == 3
    before = found[:-1]
    predicted = jnp.einsum("ti,tij->tj", before, transition) if each else before @ transition
    reached = predicted > 0
    inverse = jnp.where(reached, 1 / jnp.where(reached, predicted, 1), 0)

    def step(
        after: Array, place: tuple[Array, Array, Array | None]
    ) -> tuple[Array, tuple[Array, Array]]:
        now, inverse, matrix = place
        ratio = after * inverse
        matrix = turned if matrix is None else matrix
        smoothed = now * (ratio[:, None] * matrix).sum(0)  # see `filtered`
        return smoothed, (smoothed, ratio)

    turned = jnp.swapaxes(transition, -1, -2)  # sums of whole rows are what vectorizes
    places = (before, inverse, turned if each else None)
    _, (smoothed, ratio) = jax.lax.scan(step, found[-1], places, reverse=True)
    return Posterior(evidence, found, jnp.concatenate([smoothed, found[-1:]]), ratio)


def pairwise(posterior: Posterior, log_transition: Transition) -> Float[Array, "t_minus_1 k k"]:
    """p(z_t = i, z_{t+1} = j | x).

    Args:
      posterior: of `posterior`.
      log_transition: of the same model.

    Reference: Rabiner 1989, equation 37.
    """
    joint = posterior.filtered[:-1, :, None] * posterior.ratio[:, None]
    return joint * jnp.broadcast_to(jnp.exp(log_transition), joint.shape)


def expected_transitions(
    posterior: Posterior, log_transition: Float[Array, "k k"]
) -> Float[Array, "k k"]:
    """Σ_t p(z_t = i, z_{t+1} = j | x): how often one expects a step from i to j.

    Args:
      posterior: of `posterior`.
      log_transition: of the same model.
    """
    return jnp.exp(log_transition) * (posterior.filtered[:-1].T @ posterior.ratio)
