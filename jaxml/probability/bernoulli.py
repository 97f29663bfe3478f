# SPDX-License-Identifier: Apache-2.0
"""The Bernoulli distribution with logits a, P(x = 1) = σ(a); one value an element, in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.numerics import log1p_exp_neg, softplus
from jaxml.types import Key


@jax.custom_jvp
def log_prob(
    x: Float[Array, "*#shape"], logits: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log P(x) = −x·softplus(−a) − (1 − x)·softplus(a), exact for x in {0, 1} at any logit.

    For x strictly between 0 and 1 this is a cross-entropy, not a normalized log-density.

    One logarithm for both softplus; its derivative (x − σ(a))da + a·dx is written out because |a|
    has none at a = 0, where networks start.
    """
    a = logits
    return x * a - 0.5 * (a + jnp.abs(a)) - log1p_exp_neg(jnp.abs(a))


@log_prob.defjvp
def _log_prob_jvp(primals, tangents):
    x, logits = primals
    dx, da = tangents
    return log_prob(x, logits), (x - jax.nn.sigmoid(logits)) * da + logits * dx


def sample(logits: Float[Array, "*shape"], key: Key) -> Bool[Array, "*shape"]:
    """x = 1 where u < σ(a), u uniform."""
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits))


def entropy(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """H = σ(a)·softplus(−a) + σ(−a)·softplus(a)."""
    a = logits
    return jax.nn.sigmoid(a) * softplus(-a) + jax.nn.sigmoid(-a) * softplus(a)
