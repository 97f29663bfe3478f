# SPDX-License-Identifier: Apache-2.0
"""Paths of a hidden Markov model drawn at random: before anything is observed, and after."""

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


def sample(
    log_initial: Initial, log_transition: Float[Array, "k k"], key: Key, t: int
) -> Integer[Array, "{t}"]:
    """z_1 ~ π, z_{i+1} ~ P(· | z_i).

    Args:
      log_initial: log π.
      log_transition: log P, a row a state that is left.
      key: for the draws.
      t: length of the path.

    Raises:
      ValueError: if t is not positive.
    """
    if t < 1:
        raise ValueError(f"t: expected at least 1, got {t}")

    def step(state: Array, i: Array) -> tuple[Array, Array]:
        row = jnp.take(log_transition, state, axis=0)
        state = jax.random.categorical(jax.random.fold_in(key, i), row).astype(jnp.int32)
        return state, state

    first = jax.random.categorical(jax.random.fold_in(key, 0), log_initial).astype(jnp.int32)
    _, later = jax.lax.scan(step, first, jnp.arange(1, t))
    return jnp.concatenate([first[None], later])


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
