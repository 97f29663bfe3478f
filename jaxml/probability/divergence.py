# SPDX-License-Identifier: Apache-2.0
"""Cross entropy and divergences between distributions over classes, in nats.

Classes lie along the last axis; one value for each pair of distributions. 0 log 0 = 0: what p does
not contain costs nothing and, being at the edge of its domain, has gradient 0; what only q excludes
costs infinity wherever q divides. Rényi's family is in `jaxml.probability.renyi`.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.numerics import absolute, log_cosh, logsumexp, norm, softplus, widen_all

LOG_2 = math.log(2)


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
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
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
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
    present = log_p != -jnp.inf
    return _expectation(_exp(log_p, present), log_p - log_q, present)


def jensen_shannon(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """½ KL(p‖m) + ½ KL(q‖m), m = ½(p + q): at most log 2, and 0 only if p = q.

    The information in one draw about which of the two it came from, at even odds. Each class adds
    ½m((1 + d) log(1 + d) + (1 − d) log(1 − d)), d = (p − q)/(p + q), which is never negative and
    near d = 0 is computed as ½m(log(1 − d²) + 2d artanh d): divergences of 1e-20 keep their digits.

    Args:
      p: probabilities.
      q: probabilities.

    Reference: Lin 1991, Divergence measures based on the Shannon entropy, section IV.
    """
    return jnp.sum(_shared(*widen_all(p, q)), axis=-1)


def jensen_shannon_from_logits(
    p_logits: Float[Array, "*batch n_classes"], q_logits: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """½ KL(p‖m) + ½ KL(q‖m), m = ½(p + q), for p = softmax(a) and q = softmax(b).

    Args:
      p_logits: a; −inf excludes a class.
      q_logits: b; −inf excludes a class.
    """
    p_logits, q_logits = widen_all(p_logits, q_logits)
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
    in_p, in_q = log_p != -jnp.inf, log_q != -jnp.inf
    p = jnp.where(in_p, _exp(log_p, in_p), 0)
    q = jnp.where(in_q, _exp(log_q, in_q), 0)
    both = in_p & in_q
    t = jnp.where(both, jnp.where(both, log_p, 0) - jnp.where(both, log_q, 0), 0)
    near = jnp.abs(t) < 1  # as in `_shared`, with d = tanh(t/2)
    small, large = jnp.where(near, t, 0), jnp.where(near, 1, t)
    close = 0.25 * (p + q) * (small * jnp.tanh(0.5 * small) - 2 * log_cosh(0.5 * small))
    apart = 0.5 * (p * (LOG_2 - softplus(-large)) + q * (LOG_2 - softplus(large)))
    alone = 0.5 * LOG_2 * (p + q)
    return jnp.sum(jnp.where(both, jnp.where(near, close, apart), alone), axis=-1)


def total_variation(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """½ Σ |p − q|: the largest difference between p and q in the probability of any event, 0 to 1.

    Args:
      p: probabilities.
      q: probabilities.
    """
    p, q = widen_all(p, q)
    return 0.5 * jnp.sum(absolute(p - q), axis=-1)


def hellinger(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """√(½ Σ (√p − √q)²) = √(1 − Σ √(pq)): a distance, from 0 to 1, with gradient 0 at p = q.

    Args:
      p: probabilities.
      q: probabilities.
    """
    p, q = widen_all(p, q)
    roots = _root(p) + _root(q)
    gap = (p - q) / jnp.where(roots != 0, roots, 1)  # √p − √q with its digits
    return norm(gap, axis=-1) * math.sqrt(0.5)


def chi_squared(
    p: Float[Array, "*batch n_classes"], q: Float[Array, "*batch n_classes"]
) -> Float[Array, "*batch"]:
    """Σ (p − q)²/q = Var_q(p/q), the variance of an importance weight.

    Args:
      p: probabilities.
      q: probabilities.
    """
    p, q = widen_all(p, q)
    inside = q != 0
    term = (p - q) * ((p - q) / jnp.where(inside, q, 1))
    alone = jnp.where(p == 0, 0, jnp.where(jnp.isnan(p), p, jnp.inf))
    return jnp.sum(jnp.where(inside, term, alone), axis=-1)


@jax.custom_jvp
def _shared(p: Float[Array, "*shape"], q: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """½(p log(p/m) + q log(q/m))."""
    total = p + q
    d = (p - q) / jnp.where(total != 0, total, 1)
    near = jnp.abs(d) < 0.5
    small = jnp.where(near, d, 0)
    close = 0.25 * total * (jnp.log1p(-small * small) + 2 * small * jnp.arctanh(small))
    log_p, log_q = _log_shares(p, q)
    return jnp.where(near, close, 0.5 * (p * log_p + q * log_q))


@_shared.defjvp
def _shared_jvp(primals, tangents):
    (p, q), (dp, dq) = primals, tangents
    log_p, log_q = _log_shares(p, q)
    return _shared(p, q), 0.5 * (log_p * dp + log_q * dq)


def _log_shares(p: Float[Array, "*shape"], q: Float[Array, "*shape"]) -> tuple[Array, Array]:
    """log(p/m) = log(1 + d) and log(q/m) = log(1 − d), with 0 for what is not there."""
    total = p + q
    whole = jnp.where(total != 0, total, 1)
    d = (p - q) / whole
    near = jnp.abs(d) < 0.5
    small = jnp.where(near, d, 0)

    def log_share(part: Array, d: Array) -> Array:
        far = ~near & (part != 0)
        return jnp.where(near, jnp.log1p(d), jnp.log(jnp.where(far, 2 * part / whole, 1)))

    return log_share(p, small), log_share(q, -small)


def _root(p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    present = p != 0
    return jnp.where(present, jnp.sqrt(jnp.where(present, p, 1)), 0)


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


def log_softmax(logits: Float[Array, "*shape n_classes"]) -> Float[Array, "*shape n_classes"]:
    """a − log Σ e^a along the last axis.

    Shifted first: log Σ e^a − a would lose the digits of a small cost beside a large logit.
    """
    shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return shifted - logsumexp(shifted, axis=-1, keepdims=True)
