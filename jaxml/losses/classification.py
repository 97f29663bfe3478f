# SPDX-License-Identifier: Apache-2.0
"""Costs of a predicted class, in nats where they are likelihoods, one value for each example.

Everything is computed from logits. The cost of a class is softplus(m), with m the log-odds against
it, so that a loss of 1e-30 keeps its digits and its gradient. Labels are integers or probabilities;
an integer that names no class gives NaN, never a number.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from jaxml.numerics import logsumexp, softplus, widen, widen_all
from jaxml.probability import bernoulli


def binary_cross_entropy(
    logits: Float[Array, "*#shape"], labels: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """−y log σ(a) − (1 − y) log σ(−a), elementwise, with slope σ(a) − y.

    Args:
      logits: a.
      labels: y, 0 or 1 or a probability in between.
    """
    logits, labels = widen_all(logits, labels)
    return -bernoulli.log_prob(labels, logits)


def cross_entropy(
    logits: Float[Array, "*batch n_classes"], labels: Integer[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """−log softmax(a)_y, with slope softmax(a) − onehot(y) and curvature diag(p) − ppᵀ.

    Args:
      logits: a; −inf excludes a class.
      labels: y, the number of the right class.
    """
    return softplus(_log_odds_against(logits, labels))


def soft_cross_entropy(
    logits: Float[Array, "*batch n_classes"], labels: Shaped[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """H(p, softmax(a)) = −Σ_k p_k log softmax(a)_k, the expectation being that of p.

    Args:
      logits: a; −inf excludes a class, whose p must be 0.
      labels: p, a probability for every class.
    """
    logits, labels = widen_all(logits, labels)
    shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    cost = logsumexp(shifted, axis=-1, keepdims=True) - shifted
    return jnp.sum(jnp.where(labels == 0, 0, labels * jnp.where(labels == 0, 0, cost)), axis=-1)


def smooth_labels(
    labels: Shaped[Array, "*shape"], amount: float, *, n_classes: int
) -> Float[Array, "*shape"]:
    """(1 − α)p + α/K: the labels' distribution mixed with the uniform one.

    Smoothing moves every label by the same amount; noise on labels is another thing.

    Args:
      labels: p, one-hot or probabilities; for binary labels P(y = 1), with K = 2.
      amount: α from 0 (the labels) to 1 (uniform).
      n_classes: K.

    Raises:
      ValueError: if α is not in [0, 1].

    Reference: Szegedy et al. 2016, section 7, arXiv:1512.00567.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount: expected a number from 0 to 1, got {amount}")
    return (1 - amount) * widen(labels) + amount / n_classes


def binary_focal(
    logits: Float[Array, "*#shape"], labels: Shaped[Array, "*#shape"], *, gamma: float = 2.0
) -> Float[Array, "*#shape"]:
    """−(1 − p)^γ log p, elementwise, with p = σ(±a) what the label is given.

    A label between 0 and 1 weighs the costs of the two classes. Class weights are a factor that
    the caller multiplies on.

    Args:
      logits: a.
      labels: y, 0 or 1.
      gamma: γ ≥ 0; at 0 it is the cross entropy.

    Raises:
      ValueError: if γ is negative.

    Reference: Lin et al. 2017, equation 4, arXiv:1708.02002.
    """
    logits, labels = widen_all(logits, labels)
    return labels * _focal(-logits, gamma) + (1 - labels) * _focal(logits, gamma)


def focal(
    logits: Float[Array, "*batch n_classes"],
    labels: Integer[Array, "*batch"],
    *,
    gamma: float = 2.0,
) -> Float[Array, "*batch"]:
    """−(1 − p)^γ log p with p = softmax(a)_y.

    Args:
      logits: a.
      labels: y, the number of the right class.
      gamma: γ ≥ 0; at 0 it is the cross entropy.

    Raises:
      ValueError: if γ is negative.

    Reference: Lin et al. 2017, equation 4, arXiv:1708.02002.
    """
    return _focal(_log_odds_against(logits, labels), gamma)


def binary_hinge(
    scores: Float[Array, "*#shape"], labels: Shaped[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """max(0, 1 − (2y − 1)s), elementwise.

    Args:
      scores: s.
      labels: y, 0 or 1 (not −1 or 1).

    Reference: Cortes and Vapnik 1995, Support-vector networks, section 3.
    """
    scores, labels = widen_all(scores, labels)
    return _hinge((2 * labels - 1) * scores)


def hinge(
    scores: Float[Array, "*batch n_classes"], labels: Integer[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """max(0, 1 + max_{k≠y} s_k − s_y): the right class must lead by 1.

    Args:
      scores: s.
      labels: y, the number of the right class.

    Reference: Crammer and Singer 2001, On the algorithmic implementation of multiclass kernel-based
    vector machines, equation 4.
    """
    scores, right = widen(scores), _right_class(scores, labels)
    others = jnp.max(jnp.where(right, -jnp.inf, scores), axis=-1)
    return _hinge(_score_of(right, scores) - others)


def _log_odds_against(
    logits: Float[Array, "*batch n_classes"], labels: Integer[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Log Σ_{k≠y} e^{a_k − a_y} = log (1 − p_y)/p_y; large logits lose their digits in no sum."""
    logits, right = widen(logits), _right_class(logits, labels)
    own = _score_of(right, logits)
    shift = jnp.where(jnp.isfinite(own), own, 0)
    return logsumexp(logits - shift[..., None], axis=-1, where=~right) - (own - shift)


def _right_class(
    scores: Float[Array, "*batch n_classes"], labels: Integer[Array, "*batch"]
) -> Shaped[Array, "*batch n_classes"]:
    return jax.nn.one_hot(labels, scores.shape[-1], dtype=bool)


def _score_of(
    right: Shaped[Array, "*batch n_classes"], scores: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """s_y, and NaN where no class is right or s_y = inf, which no logits can compare with."""
    score = jnp.sum(jnp.where(right, scores, 0), axis=-1)
    return jnp.where(jnp.any(right, axis=-1) & (score < jnp.inf), score, jnp.nan)


def _hinge(margin: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(0, 1 − margin), and NaN where a score was infinite."""
    return jnp.where(jnp.isinf(margin), jnp.nan, jnp.maximum(0, 1 - margin))


def _focal(against: Float[Array, "*shape"], gamma: float) -> Float[Array, "*shape"]:
    """(1 − p)^γ (−log p) from the log-odds m against: 1 − p = σ(m), −log p = softplus(m)."""
    if not gamma >= 0:
        raise ValueError(f"gamma: expected a number that is not negative, got {gamma}")
    return jnp.exp(-gamma * softplus(-against)) * softplus(against)
