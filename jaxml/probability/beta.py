# SPDX-License-Identifier: Apache-2.0
"""The beta distribution with exponents a − 1 and b − 1; one value for each element, in nats.

It is the law of G/(G + H) for gamma draws G and H of shapes a and b; what is known of those is used
throughout, with a + b as their rate.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import log_sigmoid
from jaxml.probability import gamma
from jaxml.probability.factorial import stirling_remainder, stirling_slope
from jaxml.types import Key


def log_prob(
    x: Float[Array, "*#shape"], a: Float[Array, "*#shape"], b: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log p(x) = (a − 1) log x + (b − 1) log(1 − x) − log B(a, b); −inf unless 0 ≤ x ≤ 1.

    At 0 the density is infinite for a < 1, b for a = 1, and 0 for a > 1; likewise at 1.

    Args:
      x: where; near 1 `log_prob_of_logit` keeps digits that x does not have.
      a: above 0.
      b: above 0.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities, section 3.
    """
    total = a + b
    outside = (x < 0) | (x > 1)
    x = jnp.where(outside, 0.5, x)
    value = gamma.log_prob(x, a, total) + gamma.log_prob(1 - x, b, total) + _left(total)
    return jnp.where(outside, -jnp.inf, value)


def log_prob_of_logit(
    logit: Float[Array, "*#shape"], a: Float[Array, "*#shape"], b: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log p(x) at x = σ(l); the density of l itself is log x(1 − x) more.

    Args:
      logit: l = log x/(1 − x).
      a: above 0.
      b: above 0.
    """
    total = a + b
    one = gamma.log_prob_of_log(log_sigmoid(logit), a, total)
    other = gamma.log_prob_of_log(log_sigmoid(-logit), b, total)
    return one + other + _left(total)


def mean(a: Float[Array, "*#shape"], b: Float[Array, "*#shape"]) -> Array:
    """E x = a/(a + b)."""
    return a / (a + b)


def variance(a: Float[Array, "*#shape"], b: Float[Array, "*#shape"]) -> Array:
    """E(x − E x)² = ab/((a + b)²(a + b + 1))."""
    total = a + b
    return a / total * (b / total) / (total + 1)


def sample(
    a: Float[Array, "*#shape"], b: Float[Array, "*#shape"], key: Key
) -> Float[Array, "*#shape"]:
    """A draw, with slopes in a and b."""
    return jax.nn.sigmoid(sample_logit(a, b, key))


def sample_logit(
    a: Float[Array, "*#shape"], b: Float[Array, "*#shape"], key: Key
) -> Float[Array, "*#shape"]:
    """log x/(1 − x) of the draw that `sample` makes with the same key, however near it is to 1."""
    a, b = jnp.broadcast_arrays(a, b)
    one, other = jax.random.split(key)
    unit = jnp.ones_like(a)
    return gamma.sample_log(a, unit, one) - gamma.sample_log(b, unit, other)


def entropy(a: Float[Array, "*#shape"], b: Float[Array, "*#shape"]) -> Array:
    """H = log B(a, b) − (a − 1) ψ(a) − (b − 1) ψ(b) + (a + b − 2) ψ(a + b)."""
    total = a + b
    both = gamma.entropy(a, total) + gamma.entropy(b, total) - gamma.entropy(total, total)
    return both + 1 / total - stirling_slope(total)


def kl_divergence(
    a: Float[Array, "*#shape"],
    b: Float[Array, "*#shape"],
    other_a: Float[Array, "*#shape"],
    other_b: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """KL(B(a, b) ‖ B(c, d)) = log B(c, d)/B(a, b) + (a − c)(ψ(a) − ψ(s)) + (b − d)(ψ(b) − ψ(s)).

    Here s = a + b. It is that of both gamma distributions less that of their sums.
    """
    total, other = a + b, other_a + other_b
    one = gamma.kl_divergence(a, total, other_a, other)
    two = gamma.kl_divergence(b, total, other_b, other)
    return one + two - gamma.kl_divergence(total, total, other, other)


def _left(total: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """−log of the density at 1 of a gamma draw of shape and rate a + b."""
    return stirling_remainder(total) - jnp.log(total)
