# SPDX-License-Identifier: Apache-2.0
"""Categorical laws without their unlikely ends: logits in, logits out, −inf for what is left out.

What is as likely as a category that is kept is kept too, so that the law does not depend on how
categories are numbered. At least one always remains.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import widen
from jaxml.types import Scalar

Logits = Float[Array, "*batch n"]


def top_k(logits: Logits, k: int) -> Logits:
    """The k likeliest categories, and those as likely as the last of them.

    Args:
      logits: of n categories.
      k: how many; n and more keep all.

    Raises:
      ValueError: if k is below 1.

    Reference: Fan, Lewis and Dauphin 2018, section 5.4, arXiv:1805.04833.
    """
    if k < 1:
        raise ValueError(f"top_k: expected at least 1, got {k}")
    n = logits.shape[-1]
    if k >= n:
        return logits
    least = jax.lax.top_k(logits, k)[0][..., -1:]
    return _kept(logits, logits >= least)


def top_p(logits: Logits, p: float | Scalar) -> Logits:
    """The smallest set of the likeliest categories with probability p or more: the nucleus.

    A category is in it if those that are strictly likelier have less than p together.

    Args:
      logits: of n categories.
      p: in (0, 1]; 1 keeps all.

    Raises:
      ValueError: if p is a number outside of (0, 1].

    Reference: Holtzman et al. 2020, equation 2, arXiv:1904.09751.
    """
    _check_share("top_p", p)
    falling = -jnp.sort(-logits, axis=-1)
    probability = jax.nn.softmax(widen(falling), axis=-1)
    before = jnp.cumsum(probability, axis=-1) - probability
    # The first is always in: the probability before it is 0.
    inside = jnp.where(before < p, falling, jnp.inf)
    least = jnp.min(inside, axis=-1, keepdims=True)
    return _kept(logits, (logits >= least) | (jnp.asarray(p) >= 1))


def min_p(logits: Logits, p: float | Scalar) -> Logits:
    """The categories at least p times as likely as the likeliest.

    Args:
      logits: of n categories.
      p: in (0, 1]; 1 keeps the likeliest alone.

    Raises:
      ValueError: if p is a number outside of (0, 1].

    Reference: Nguyen et al. 2024, section 3, arXiv:2407.01082.
    """
    _check_share("min_p", p)
    behind = logits - jnp.max(logits, axis=-1, keepdims=True)
    return _kept(logits, behind >= jnp.log(jnp.asarray(p, logits.dtype)))


def truncate(
    logits: Logits,
    *,
    temperature: float | Scalar = 1.0,
    top_k: int | None = None,
    top_p: float | Scalar | None = None,
    min_p: float | Scalar | None = None,
) -> Logits:
    """Logits over the temperature, then `top_k`, `top_p` and `min_p` one after the other.

    Each looks at the law that the one before it left, renormalized.

    Args:
      logits: of n categories.
      temperature: below 1, likely categories become likelier.
      top_k: see the function; None leaves it out, as with the others.
      top_p: see the function.
      min_p: see the function.

    Raises:
      ValueError: for a temperature that is a number and not positive, and as the functions say.
    """
    if isinstance(temperature, (int, float)) and not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    logits = logits / jnp.asarray(temperature, logits.dtype)
    if top_k is not None:
        logits = _top_k(logits, top_k)
    if top_p is not None:
        logits = _top_p(logits, top_p)
    if min_p is not None:
        logits = _min_p(logits, min_p)
    return logits


_top_k, _top_p, _min_p = top_k, top_p, min_p


def _kept(logits: Logits, keep: Array) -> Logits:
    # NaN compares false, and must stay NaN.
    return jnp.where(keep | jnp.isnan(logits), logits, -jnp.inf)


def _check_share(name: str, p: float | Scalar) -> None:
    if isinstance(p, (int, float)) and not 0 < p <= 1:
        raise ValueError(f"{name}: expected a number in (0, 1], got {p}")
