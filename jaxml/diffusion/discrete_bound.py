# SPDX-License-Identifier: Apache-2.0
"""The bound of a discrete diffusion in T steps: log p(x_0) ≥ −(L_T + Σ L_{t−1} + L_0), in nats."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlog1py
from jaxtyping import Array, Float, Integer

from jaxml.diffusion.discrete import (
    Law,
    Predict,
    Reverse,
    States,
    Tokens,
    discrete_diffuse,
    discrete_posterior,
)
from jaxml.diffusion.stage import Stage, pairs
from jaxml.numerics import widen
from jaxml.types import Key


class DiscreteBound(NamedTuple):
    """Terms of the bound, in nats, one value a sequence.

    Attributes:
      prior: L_T = KL(q(x_T | x_0) ‖ π).
      steps: L_{t−1} = KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t)) for t = 2 … T.
      reconstruction: L_0 = −log p(x_0 | x_1).
    """

    prior: Float[Array, "*batch"]
    steps: Float[Array, "steps *batch"]
    reconstruction: Float[Array, "*batch"]

    @property
    def value(self) -> Float[Array, "*batch"]:
        """−(L_T + Σ L_{t−1} + L_0), at most log p(x_0) in expectation."""
        return -(self.prior + jnp.sum(self.steps, axis=0) + self.reconstruction)


def discrete_prior_divergence(x0: Tokens, last: Stage, law: Law) -> Float[Array, "*shape"]:
    """KL(q(x_T | x_0) ‖ π) of every position; infinite for a mask that is not yet certain.

    With d = q/π − 1 it is Σ π ((1 + d) log(1 + d) − d), in which no term is negative.
    """
    own, last = law[x0], last.over(x0)
    possible = own > 0
    excess = last.alpha * (1 / jnp.where(possible, own, 1.0) - 1)
    finite = own * _cost(excess) + (1 - own) * _cost(-last.alpha)
    return jnp.where(possible | (last.alpha == 0), finite, jnp.inf)


def discrete_step_divergence(
    x: Tokens,
    x0: Tokens,
    logits: States,
    before: Stage,
    after: Stage,
    law: Law,
    *,
    reverse: Reverse = discrete_posterior,
) -> Float[Array, "*shape"]:
    """KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t)) of every position; with s = 0 it is −log p(x_0 | x_t).

    Args:
      x: x_t, which x_0 can have led to.
      x0: x_0.
      logits: what a network makes of x_t, for `reverse`.
      before: at s.
      after: at t > s.
      law: π.
      reverse: `discrete_posterior` or `expected_posterior`.

    Reference: Austin et al. 2021, equation 1, arXiv:2107.03006.
    """
    logits = widen(logits)
    known = jnp.where(jax.nn.one_hot(x0, logits.shape[-1], dtype=bool), 0.0, -jnp.inf)
    log_q = discrete_posterior(x, known.astype(logits.dtype), before, after, law)
    log_p = reverse(x, logits, before, after, law)
    held = log_q > -jnp.inf
    ratio = jnp.where(held, log_q, 0.0) - jnp.where(held, log_p, 0.0)
    return jnp.sum(jnp.exp(log_q) * ratio, axis=-1)


def discrete_bound(
    predict: Predict,
    x0: Integer[Array, "*batch length"],
    stages: Stage,
    law: Law,
    key: Key,
    *,
    reverse: Reverse = discrete_posterior,
) -> DiscreteBound:
    """Every term of the bound at one draw of x_t each: their sum is unbiased.

    Args:
      predict: the network.
      x0: sequences.
      stages: of the times 0 … T, the first of them clean.
      law: π.
      key: draws the x_t.
      reverse: p(x_s | x_t) as it is sampled from.

    Reference: Austin et al. 2021, equation 1, arXiv:2107.03006.
    """

    def term(place):
        i, then, now = place
        x = discrete_diffuse(x0, now, law, jax.random.fold_in(key, i))
        logits = predict(x, now)
        each = discrete_step_divergence(x, x0, logits, then, now, law, reverse=reverse)
        return jnp.sum(each, axis=-1)

    terms = jax.lax.map(term, pairs(stages))
    last = jax.tree.map(lambda a: a[-1], stages)
    prior = jnp.sum(discrete_prior_divergence(x0, last, law), axis=-1)
    return DiscreteBound(prior, terms[1:], terms[0])


def bits_per_token(log_p: Float[Array, "*batch"], length: int) -> Float[Array, "*batch"]:
    """−log₂ p/L: nats of a sequence as bits of each of its L tokens."""
    return -log_p / (length * math.log(2))


def _cost(d: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(1 + d) log(1 + d) − d ≥ 0."""
    return xlog1py(1 + d, d) - d
