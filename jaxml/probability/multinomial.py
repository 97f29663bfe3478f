# SPDX-License-Identifier: Apache-2.0
"""The multinomial distribution: how often each class is drawn in n draws of softmax(a); in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factorial import deviance, stirling_remainder
from jaxml.types import Key

Counts = Float[Array, "*batch n_classes"]
Logits = Float[Array, "*batch n_classes"]


@jax.custom_jvp
def log_prob(counts: Counts, logits: Logits) -> Float[Array, "*batch"]:
    """log P(c) = log n! − Σ log c_i! + Σ c_i log p_i, n = Σ c; −inf where a count is negative.

    As Σ of deviances of c_i from n p_i and of `stirling_remainder`s: nothing large cancels. Its
    slope in a is c − np.

    Args:
      counts: c.
      logits: a; −inf excludes a class.
    """
    return _value(counts, logits)


@log_prob.defjvp
def _log_prob_jvp(primals, tangents):
    (c, a), (dc, da) = primals, tangents
    value, change = jax.jvp(lambda c: _value(c, a), (c,), (dc,))
    n, p = jnp.sum(c, axis=-1, keepdims=True), jax.nn.softmax(a, axis=-1)
    slope = jnp.where(a == -jnp.inf, 0, c - n * p)
    return value, change + jnp.sum(slope * jnp.where(a == -jnp.inf, 0, da), axis=-1)


def _value(counts: Counts, logits: Logits) -> Float[Array, "*batch"]:
    outside = jnp.any(counts < 0, axis=-1)
    c = jnp.where(outside[..., None], 0, counts)
    n = jnp.sum(c, axis=-1)
    apart = deviance(c, n[..., None] * jax.nn.softmax(logits, axis=-1)) + stirling_remainder(c)
    return jnp.where(outside, -jnp.inf, stirling_remainder(n) - jnp.sum(apart, axis=-1))


def mean(n: Float[Array, "*batch"], logits: Logits) -> Counts:
    """E c = np.

    Args:
      n: draws.
      logits: a.
    """
    return n[..., None] * jax.nn.softmax(logits, axis=-1)


def covariance(n: Float[Array, "*batch"], logits: Logits) -> Float[Array, "*batch k k"]:
    """n(diag p − ppᵀ), singular: counts add up to n.

    Args:
      n: draws.
      logits: a.
    """
    p = jax.nn.softmax(logits, axis=-1)
    diagonal = p[..., None] * jnp.eye(p.shape[-1], dtype=p.dtype)
    return n[..., None, None] * (diagonal - p[..., None] * p[..., None, :])


def sample(n: Float[Array, "*batch"], logits: Logits, key: Key) -> Counts:
    """Counts of n draws, as floats: each class from what is left behind those before it.

    Args:
      n: draws.
      logits: a.
      key: of the draws.
    """
    return jax.random.multinomial(key, n, jax.nn.softmax(logits, axis=-1), dtype=logits.dtype)
