# SPDX-License-Identifier: Apache-2.0
"""Rényi's divergences between distributions over classes, in nats: a family with KL at α = 1.

They rise with α from −log q(p > 0) at 0, which sees only where p is, through −2 log Σ √(pq) at ½,
KL at 1 and log(1 + χ²) at 2 to log max p/q at ∞, which sees only the worst class.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import logsumexp, widen_all
from jaxml.probability.divergence import log_softmax
from jaxml.types import Scalar


def renyi_divergence(
    p: Float[Array, "*batch n_classes"],
    q: Float[Array, "*batch n_classes"],
    alpha: float | Scalar,
) -> Float[Array, "*batch"]:
    """D_α(p‖q) = log(Σ p^α q^(1−α))/(α − 1), and its limits at α = 0, 1 and ∞.

    Both are divided by their sums, so that slopes point along the simplex whatever α is. What p
    does not contain has slope 0.

    Args:
      p: probabilities.
      q: probabilities; excluding what p contains costs infinity from α = 1 on.
      alpha: α ≥ 0, differentiable, also at 1; NaN if it is traced and negative.

    Raises:
      ValueError: if α is a number below 0.

    Reference: van Erven and Harremoës 2014, equation 1 and theorems 4 to 6, arXiv:1206.2459.
    """
    p, q = widen_all(p, q)
    return _divergence(_log_shares(p), _log_shares(q), alpha)


def renyi_divergence_from_logits(
    p_logits: Float[Array, "*batch n_classes"],
    q_logits: Float[Array, "*batch n_classes"],
    alpha: float | Scalar,
) -> Float[Array, "*batch"]:
    """D_α(p‖q) for p = softmax(a) and q = softmax(b).

    Args:
      p_logits: a; −inf excludes a class.
      q_logits: b; −inf excludes a class.
      alpha: α ≥ 0, differentiable, also at 1; NaN if it is traced and negative.

    Raises:
      ValueError: if α is a number below 0.
    """
    p_logits, q_logits = widen_all(p_logits, q_logits)
    return _divergence(log_softmax(p_logits), log_softmax(q_logits), alpha)


def _divergence(
    log_p: Float[Array, "*batch n_classes"],
    log_q: Float[Array, "*batch n_classes"],
    alpha: float | Scalar,
) -> Float[Array, "*batch"]:
    """With e = α − 1, L = log p/q: log(Σ p e^(eL))/e, or log(1 + Σ p (e^(eL) − 1))/e near 1.

    The first divides what is lost in rounding Σ p e^(eL) to 1 + ... by e; the second never does.
    """
    if isinstance(alpha, (int, float)) and not alpha >= 0:
        raise ValueError(f"alpha: expected a number of 0 or more, got {alpha}")
    order = jnp.asarray(alpha, log_p.dtype)
    at_infinity = order == jnp.inf
    e = jnp.where(at_infinity, 1, order) - 1
    present, inside = log_p != -jnp.inf, log_q != -jnp.inf
    both = present & inside
    lost = jnp.any((log_p > -jnp.inf) & ~inside, axis=-1)  # NaN is not lost
    log_p = jnp.where(present, log_p, 0)
    ratio = jnp.where(both, log_p - jnp.where(inside, log_q, 0), 0)

    x = e * ratio
    total = logsumexp(jnp.where(both, log_p + x, -jnp.inf), axis=-1)
    near = jnp.abs(total) < 0.5  # there every p e^x is below e^½
    slow = jnp.abs(x) < 0.5
    up = (x >= 0.5) & near[..., None]
    fast = jnp.where(slow, 1, x)
    e_fast = jnp.where(e != 0, e, 1)
    p = jnp.where(present, jnp.exp(log_p), 0)
    # What q excludes has e^x = 0 where it is finite at all, below α = 1.
    falling = p * jnp.where(both, jnp.expm1(jnp.minimum(fast, 1)), -1) / e_fast
    rising = (jnp.exp(jnp.where(up, log_p + x, 0)) - p) / e_fast
    slowly = p * ratio * _expm1_share(jnp.where(slow, x, 0))
    share = jnp.where(both & slow, slowly, jnp.where(up, rising, falling))
    share = jnp.where(present & near[..., None], share, 0)
    mean = jnp.sum(share, axis=-1)
    change = jnp.where(near, e * mean, 0)
    by_change = mean * _log1p_share(change)
    by_total = jnp.where(near, 0, total) / e_fast

    value = jnp.where(near, by_change, by_total)
    value = jnp.where(at_infinity, jnp.max(ratio, axis=-1), value)  # 0 or more, as it must be
    value = jnp.where(lost & (order >= 1), jnp.inf, value)
    return jnp.where(order >= 0, value, jnp.nan)


def _log_shares(p: Float[Array, "*shape n_classes"]) -> Float[Array, "*shape n_classes"]:
    present = p != 0
    total = jnp.sum(p, axis=-1, keepdims=True)
    return jnp.where(present, jnp.log(jnp.where(present, p, 1)) - jnp.log(total), -jnp.inf)


def _expm1_share(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(e^x − 1)/x for |x| ≤ ½, as a series: its slope at 0 is ½ and not 0/0."""
    value = jnp.ones_like(x)
    for k in range(14, 1, -1):
        value = 1 + x * value / k
    return value


def _log1p_share(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + y)/y for −0.4 < y < 0.7, as a series in s = y/(2 + y): 2 artanh(s)/y."""
    s = y / (2 + y)
    square, series = s * s, jnp.zeros_like(y)
    for k in range(23, 0, -2):
        series = series * square + 1 / k
    return 2 * series / (2 + y)
