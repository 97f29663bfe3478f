# SPDX-License-Identifier: Apache-2.0
"""Cross entropy and Kullback-Leibler divergence between distributions over classes, in nats.

Classes lie along the last axis; one value for each pair of distributions. 0 log 0 = 0: what p does
not contain costs nothing and, being at the edge of its domain, has gradient 0; what only q excludes
costs infinity.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.numerics import logsumexp, widen_all


def cross_entropy(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """H(p, q) = −Σ p log q, the expectation of −log q under p; H(p, p) is the entropy of p.

    Args:
      p: probabilities.
      q: probabilities.
    """
    p, q = widen_all(p, q)
    present = p != 0
    return -_expectation(p, _log(q, present), present)


def kl_divergence(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """KL(p‖q) = Σ p log(p/q) = H(p, q) − H(p, p).

    Args:
      p: probabilities.
      q: probabilities.

    Reference: Kullback and Leibler 1951, On information and sufficiency, equation 2.4.
    """
    p, q = widen_all(p, q)
    present = p != 0
    return _expectation(p, _log(p, present) - _log(q, present), present)


def cross_entropy_from_logits(
    p_logits: Float[Array, "*batch n_classes"], q_logits: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """H(p, q) = −Σ p log q for p = softmax(a) and q = softmax(b).

    Args:
      p_logits: a; −inf excludes a class.
      q_logits: b; −inf excludes a class.
    """
    p_logits, q_logits = widen_all(p_logits, q_logits)
    log_p, log_q = _log_softmax(p_logits), _log_softmax(q_logits)
    present = log_p != -jnp.inf
    return -_expectation(_exp(log_p, present), log_q, present)


def kl_divergence_from_logits(
    p_logits: Float[Array, "*batch n_classes"], q_logits: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """KL(p‖q) = Σ p (log p − log q) for p = softmax(a) and q = softmax(b).

    Args:
      p_logits: a; −inf excludes a class.
      q_logits: b; −inf excludes a class.
    """
    p_logits, q_logits = widen_all(p_logits, q_logits)
    log_p, log_q = _log_softmax(p_logits), _log_softmax(q_logits)
    present = log_p != -jnp.inf
    return _expectation(_exp(log_p, present), log_p - log_q, present)


def _expectation(
    p: Float[Array, "*shape n_classes"],
    f: Float[Array, "*shape n_classes"],
    present: Bool[Array, "*shape n_classes"],
) -> Float[Array, "*shape"]:
    return jnp.sum(jnp.where(present, p * jnp.where(present, f, 0), 0), axis=-1)


def _log(p: Float[Array, "*shape"], present: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.log(jnp.where(present, p, 1))


def _exp(log_p: Float[Array, "*shape"], present: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.exp(jnp.where(present, log_p, 0))


def _log_softmax(logits: Float[Array, "*shape n_classes"]) -> Float[Array, "*shape n_classes"]:
    """Shifted first: log Σ e^a − a would lose the digits of a small cost beside a large logit."""
    shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return shifted - logsumexp(shifted, axis=-1, keepdims=True)
