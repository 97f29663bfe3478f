# SPDX-License-Identifier: Apache-2.0
"""The binomial distribution: successes in n trials, each with P(success) = σ(a); in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import deviance, stirling_remainder
from jaxml.types import Key, Scalar


@jax.custom_jvp
def log_prob(
    y: Float[Array, "*#shape"], trials: Float[Array, "*#shape"], logits: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log P(y) = log C(n, y) + y log p + (n − y) log(1 − p), p = σ(a); −inf unless 0 ≤ y ≤ n.

    Its slope in a is y − np, written y(1 − p) − (n − y)p, which keeps its digits at both ends.

    Args:
      y: successes.
      trials: n.
      logits: a; −∞ and ∞ are certain failure and success.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities, section 3.
    """
    return _value(y, trials, logits)


@log_prob.defjvp
def _log_prob_jvp(primals, tangents):
    (y, n, a), (dy, dn, da) = primals, tangents
    value, change = jax.jvp(lambda y, n: _value(y, n, a), (y, n), (dy, dn))
    inside = (y >= 0) & (y <= n)
    slope = y * jax.nn.sigmoid(-a) - (n - y) * jax.nn.sigmoid(a)
    return value, change + jnp.where(inside, slope, 0) * da


def _value(
    y: Float[Array, "*#shape"], trials: Float[Array, "*#shape"], logits: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    outside = (y < 0) | (y > trials)
    y, n = jnp.where(outside, 0, y), jnp.where(outside, 1, trials)
    value = log_prob_of_shares(y, n - y, jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits))
    return jnp.where(outside, -jnp.inf, value)


def log_prob_of_shares(
    successes: Float[Array, "*#shape"],
    failures: Float[Array, "*#shape"],
    share: Float[Array, "*#shape"],
    rest: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """log C(k + m, k) p^k q^m by deviances and `stirling_remainder`s: nothing large cancels.

    Args:
      successes: k, which need not be whole.
      failures: m, likewise.
      share: p.
      rest: q = 1 − p, with digits of its own.
    """
    k, m = successes, failures
    total = k + m
    small = stirling_remainder(total) - stirling_remainder(k) - stirling_remainder(m)
    return small - deviance(k, total * share) - deviance(m, total * rest)


def mean(trials: Float[Array, "*#shape"], logits: Float[Array, "*#shape"]) -> Array:
    """E y = np."""
    return trials * jax.nn.sigmoid(logits)


def variance(trials: Float[Array, "*#shape"], logits: Float[Array, "*#shape"]) -> Array:
    """E(y − np)² = np(1 − p)."""
    return trials * jax.nn.sigmoid(logits) * jax.nn.sigmoid(-logits)


def sample(
    trials: Float[Array, "*shape"], logits: Float[Array, "*shape"], key: Key
) -> Float[Array, "*shape"]:
    """Successes in n trials, as a float."""
    p = jax.nn.sigmoid(logits)
    return jax.random.binomial(key, trials, p, dtype=logits.dtype)


def entropy(trials: int, logits: Scalar) -> Scalar:
    """H = −Σ_y P(y) log P(y), by the sum; `vmap` for many laws with one n.

    Args:
      trials: n.
      logits: a.

    Raises:
      ValueError: for a negative n.
    """
    if trials < 0:
        raise ValueError(f"trials: expected at least 0, got {trials}")
    y = jnp.arange(trials + 1).astype(logits.dtype)
    log_p = log_prob(y, jnp.full_like(y, trials), jnp.broadcast_to(logits, y.shape))
    possible = log_p > -jnp.inf
    return -jnp.sum(jnp.where(possible, jnp.exp(log_p) * jnp.where(possible, log_p, 0), 0))
