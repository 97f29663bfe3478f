# SPDX-License-Identifier: Apache-2.0
"""Paths of a hidden Markov model drawn at random after what was observed.

Before anything is observed, a path is one of `probability.markov_chain.sample`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.hmm.forward import (
    Initial,
    LogLikelihood,
    Mask,
    filtered,
)
from jaxml.types import Key


def sample_posterior(
    log_initial: Initial,
    log_transition: Float[Array, "k k"],
    log_likelihood: LogLikelihood,
    key: Key,
    *,
    mask: Mask = None,
) -> Integer[Array, "t"]:
    """z ~ p(z | x): forwards the filter, backwards one state after the other.

    Args:
      log_initial: as for `filtered`.
      log_transition: log P.
      log_likelihood: as for `filtered`.
      key: for the draws.
      mask: as for `filtered`.

    Reference: Carter and Kohn 1994, Biometrika 81(3); Frühwirth-Schnatter 1994.
    """
    found = filtered(log_initial, log_transition, log_likelihood, mask=mask).probabilities
    logs = jnp.log(found)

    def step(after: Array, place: tuple[Array, Array]) -> tuple[Array, Array]:
        log_now, i = place
        weights = log_now + jnp.take(log_transition, after, axis=1)
        state = jax.random.categorical(jax.random.fold_in(key, i), weights).astype(jnp.int32)
        return state, state

    t = len(logs)
    last = jax.random.categorical(jax.random.fold_in(key, t - 1), logs[-1]).astype(jnp.int32)
    _, before = jax.lax.scan(step, last, (logs[:-1], jnp.arange(t - 1)), reverse=True)
    return jnp.append(before, last)
