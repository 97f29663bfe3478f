# SPDX-License-Identifier: Apache-2.0
"""Counts k of successes in n trials, P(success) = θ from the beta law of a and b; in nats.

p(θ) ∝ θ^(a − 1) (1 − θ)^(b − 1). With n = 1 these are Bernoulli draws. Each element by itself.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.binomial import log_prob_of_shares


class Beta(NamedTuple):
    """What is known of θ.

    Attributes:
      successes: a > 0, how many successes were as good as seen.
      failures: b > 0.
    """

    successes: Float[Array, "*shape"]
    failures: Float[Array, "*shape"]


def posterior(law: Beta, k: Float[Array, "n *shape"], trials: Float[Array, "n *#shape"]) -> Beta:
    """a' = a + Σ k, b' = b + Σ (n − k).

    Args:
      law: the prior; the posterior of earlier draws.
      k: successes, along the first axis; none leave the prior as it is.
      trials: n, of each k; 1 for Bernoulli draws.
    """
    return Beta(law.successes + jnp.sum(k, axis=0), law.failures + jnp.sum(trials - k, axis=0))


def log_predictive(
    law: Beta, k: Float[Array, "*#shape"], trials: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log C(n, k) B(a + k, b + n − k)/B(a, b); −inf unless 0 ≤ k ≤ n.

    With s = a + b it is C(k + a, k) C(n − k + b, b)/C(n + s, s) · ab(n + s)/((k + a)(n − k + b)s),
    each part by deviances and `stirling_remainder`s: nothing of the size of n log n is subtracted.

    Args:
      law: the prior or a posterior.
      k: successes.
      trials: n; 1 for a Bernoulli draw.
    """
    a, b = law.successes, law.failures
    outside = (k < 0) | (k > trials)
    k, n = jnp.where(outside, 0, k), jnp.where(outside, 1, trials)
    s = a + b
    shares = n / (n + s), s / (n + s)  # of what is drawn, and of what was known, in all there is
    pairs = (k, a), (n - k, b), (n, s)
    one, other, whole = (log_prob_of_shares(*pair, *shares) for pair in pairs)
    edge = jnp.log(a / (k + a)) + jnp.log(b / (n - k + b)) - jnp.log(s / (n + s))
    return jnp.where(outside, -jnp.inf, one + other - whole + edge)


def log_evidence(
    law: Beta, k: Float[Array, "n *shape"], trials: Float[Array, "n *#shape"]
) -> Float[Array, "*shape"]:
    """Σ log C(n_i, k_i) + log B(a', b')/B(a, b), by the sums of k and n and the split of the sums.

    Args:
      law: the prior.
      k: successes, along the first axis.
      trials: n, of each k.
    """
    n = jnp.broadcast_to(trials, k.shape)
    outside = (k < 0) | (k > n)
    k, n = jnp.where(outside, 0, k), jnp.where(outside, 1, n)
    successes, total = jnp.sum(k, axis=0), jnp.sum(n, axis=0)
    some = jnp.where(total > 0, total, 1)
    shares = successes / some, (total - successes) / some
    each = jnp.sum(log_prob_of_shares(k, n - k, *(share[None] for share in shares)), axis=0)
    together = log_prob_of_shares(successes, total - successes, *shares)
    value = log_predictive(law, successes, total) + each - together
    return jnp.where(jnp.any(outside, axis=0), -jnp.inf, value)


def maximum_a_posteriori(law: Beta) -> Float[Array, "*shape"]:
    """The likeliest θ, (a − 1)/(a + b − 2).

    It is 0 or 1 where only one of a and b is above 1. Where none is, the density is flat or
    infinite at an end and has no single greatest point: NaN.

    Args:
      law: the prior or a posterior.
    """
    up, down = (jnp.maximum(v - 1, 0) for v in law)
    total = up + down
    return jnp.where(total > 0, up / jnp.where(total > 0, total, 1), jnp.nan)
