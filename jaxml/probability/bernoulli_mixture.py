# SPDX-License-Identifier: Apache-2.0
"""Mixtures of products of Bernoulli laws, p(x) = Σ_k w_k Π_i θ_ki^x_i (1 − θ_ki)^(1 − x_i)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.numerics import softplus, widen_all
from jaxml.probability import bernoulli
from jaxml.types import Key, Scalar

Bits = Shaped[Array, "n d"]
Shares = Float[Array, "n k"]


class Mixture(NamedTuple):
    """The parameters of a mixture.

    Attributes:
      log_weight: log w.
      logits: log θ/(1 − θ), a row a component.
    """

    log_weight: Float[Array, "k"]
    logits: Float[Array, "k d"]


def log_joint(mixture: Mixture, x: Bits) -> Shares:
    """log w_k + Σ_i log P(x_i | k) = log w_k + x·a_k − Σ_i softplus(a_ki), in nats.

    Args:
      mixture: the parameters, logits finite.
      x: bits.
    """
    x, logits = widen_all(x, mixture.logits)
    constant = mixture.log_weight - softplus(logits).sum(1)
    return x @ logits.T + constant[None].astype(x.dtype)


def log_prob(mixture: Mixture, x: Bits) -> Float[Array, "n"]:
    """log p(x), in nats.

    Args:
      mixture: the parameters.
      x: bits.
    """
    return jax.nn.logsumexp(log_joint(mixture, x), axis=1)


def responsibilities(mixture: Mixture, x: Bits) -> Shares:
    """r_nk = P(k | x_n) = w_k p(x_n | k) / p(x_n).

    Args:
      mixture: the parameters.
      x: bits.
    """
    return jax.nn.softmax(log_joint(mixture, x), axis=1)


def sample(mixture: Mixture, key: Key, n: int) -> Bool[Array, "{n} d"]:
    """A component from w, and every bit from it, n times.

    Args:
      mixture: the parameters.
      key: for the draws.
      n: how many.
    """
    which_key, key = jax.random.split(key)
    which = jax.random.categorical(which_key, mixture.log_weight, shape=(n,))
    return bernoulli.sample(mixture.logits[which], key)


def maximized(x: Bits, shares: Shares, *, pseudocount: float) -> Mixture:
    """The M step: w_k = Σ_n r_nk/n and θ_ki = (α + Σ_n r_nk x_ni)/(2α + Σ_n r_nk).

    Args:
      x: bits.
      shares: r, rows that sum to 1.
      pseudocount: α > 0, ones and zeros that every bit of every component was seen to have before:
        it keeps logits finite where all bits agree, and is a beta prior of 1 + α and 1 + α.

    Raises:
      ValueError: if the pseudocount is not positive.

    Reference: Bishop 2006, equations 9.59 and 9.60.
    """
    check(pseudocount)
    x, shares = widen_all(x, shares)
    total = shares.sum(0)
    ones, zeros = shares.T @ x, shares.T @ (1 - x)  # not the total less ones: zeros may be few
    logits = jnp.log(ones + pseudocount) - jnp.log(zeros + pseudocount)
    return Mixture(jnp.log(total / total.sum()), logits)


def em_step(mixture: Mixture, x: Bits, *, pseudocount: float) -> tuple[Mixture, Scalar]:
    """One step of expectation maximization, and the mean of log p(x) before it, in nats.

    n times that mean plus α Σ_ki log θ_ki(1 − θ_ki) never falls from step to step.

    Args:
      mixture: the parameters.
      x: all data.
      pseudocount: α; see `maximized`.

    Raises:
      ValueError: if the pseudocount is not positive.

    Reference: Bishop 2006, section 9.3.3.
    """
    joint = log_joint(mixture, x)
    total = jax.nn.logsumexp(joint, axis=1)
    return maximized(x, jnp.exp(joint - total[:, None]), pseudocount=pseudocount), total.mean()


def start(x: Bits, key: Key, k: int, *, pseudocount: float) -> Mixture:
    """Equal weights, and θ = ½ share of ones + ½ (¾ or ¼, as a row of the data has a one or none).

    Components that begin alike would stay so for ever; rows of the data are apart.

    Args:
      x: data.
      key: which rows.
      k: components.
      pseudocount: α; see `maximized`.

    Raises:
      ValueError: unless 1 ≤ k ≤ the number of rows and the pseudocount is positive.
    """
    check(pseudocount)
    if not 1 <= k <= len(x):
        raise ValueError(f"k: expected 1 to {len(x)} components, got {k}")
    (x,) = widen_all(x)
    rows = x[jax.random.choice(key, len(x), (k,), replace=False)]
    ones = x.sum(0) + pseudocount
    theta = 0.5 * (ones / (len(x) + 2 * pseudocount))[None] + 0.125 + 0.25 * rows
    return Mixture(jnp.full(k, -jnp.log(float(k)), x.dtype), jnp.log(theta) - jnp.log1p(-theta))


def check(pseudocount: float) -> None:
    """A pseudocount is positive.

    Args:
      pseudocount: α.

    Raises:
      ValueError: if it is not.
    """
    if not pseudocount > 0:
        raise ValueError(f"pseudocount: expected a positive number, got {pseudocount}")
