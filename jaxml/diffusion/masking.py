# SPDX-License-Identifier: Apache-2.0
"""Masked diffusion in continuous time: what the absorbing kernel comes to as steps grow short.

Every term of the bound becomes a cross entropy at the masks. The mask has the number n_tokens,
and a network gives no logit for it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.diffusion.discrete import (
    Predict,
    States,
    Tokens,
    check_temperature,
    gumbel_max,
    token_cost,
)
from jaxml.diffusion.stage import Schedule, Stage, Time, pairs, rate, regained
from jaxml.numerics import widen
from jaxml.types import Key, Scalar


def mask_tokens(x0: Tokens, now: Stage, n_tokens: int, key: Key) -> Tokens:
    """A draw of q(x_t | x_0): each position is masked with probability 1 − α_t.

    Args:
      x0: tokens 0 … n_tokens − 1, in a type that can hold n_tokens as well.
      now: at t, one or one a row.
      n_tokens: the number of the mask.
      key: for the draw.
    """
    lost = jax.random.bernoulli(key, jnp.broadcast_to(now.over(x0).lost, x0.shape), mode="high")
    return jnp.where(lost, jnp.asarray(n_tokens, x0.dtype), x0)


def carry_over(logits: States, tokens: Tokens) -> States:
    """log p(x_0^i | x_t): softmax at a mask, and at any other position certainly what is there.

    As a reverse process must: nothing turns into a mask, since no logit stands for it, and what is
    no mask stays.

    Args:
      logits: of the n_tokens categories of data.
      tokens: x_t, in which n_tokens is the mask.

    Reference: Sahoo et al. 2024, section 3, arXiv:2406.07524.
    """
    logits, n_tokens = widen(logits), logits.shape[-1]
    own = jax.nn.one_hot(tokens, n_tokens, dtype=bool)
    certain = jnp.where(own, 0.0, -jnp.inf).astype(logits.dtype)
    return jnp.where((tokens == n_tokens)[..., None], jax.nn.log_softmax(logits), certain)


def masked_cost(
    logits: Float[Array, "*batch length n_tokens"],
    x0: Integer[Array, "*batch length"],
    tokens: Integer[Array, "*batch length"],
) -> Float[Array, "*batch"]:
    """−Σ log p(x_0^i | x_t) over the masks of x_t, in nats a sequence.

    Times its `masked_weight` at a uniform t it is an unbiased estimate of a bound of −log p(x_0).
    """
    masked = tokens == logits.shape[-1]
    return jnp.sum(jnp.where(masked, token_cost(logits, x0), 0.0), axis=-1)


def masked_weight(schedule: Schedule, t: Time, *, n_steps: int | None = None) -> tuple[Stage, Time]:
    """The stage to mask for at t, and the weight of its `masked_cost` in the bound.

    In continuous time the weight is −α′/(1 − α): −log p(x_0) ≤ E_t E_q [weight · cost], and where
    the network is not told t this does not depend on the schedule. A chain of T steps has the
    stages of t = i/T and the weight T (α_s − α_t)/(1 − α_t); its bound is never the tighter one.

    Args:
      schedule: gives α.
      t: uniform in (0, 1].
      n_steps: T; None for continuous time.

    Raises:
      ValueError: for less than one step.

    Reference: Sahoo et al. 2024, section 3, arXiv:2406.07524; Shi et al. 2024, arXiv:2406.04329.
    """
    if n_steps is None:
        return schedule(t), rate(schedule, t)
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    i = jnp.clip(jnp.ceil(t * n_steps), 1, n_steps)
    now = schedule(i / n_steps)
    return now, n_steps * regained(schedule((i - 1) / n_steps), now)


def unmask(logits: States, tokens: Tokens, before: Stage, after: Stage, key: Key) -> Tokens:
    """A draw of p(x_s | x_t): a mask gives way with probability (α_s − α_t)/(1 − α_t).

    Which masks do is drawn apart from what they become, so that no draw is among probabilities
    that a short step has made small.

    Args:
      logits: of x_0 given x_t.
      tokens: x_t.
      before: at s; for s = 0 no mask is left.
      after: at t > s.
      key: for the draws.
    """
    when_key, what_key = jax.random.split(key)
    part = jnp.broadcast_to(regained(before.over(tokens), after.over(tokens)), tokens.shape)
    now = jax.random.bernoulli(when_key, part, mode="high") & (tokens == logits.shape[-1])
    return jnp.where(now, gumbel_max(logits, what_key).astype(tokens.dtype), tokens)


def masked_ancestral(
    predict: Predict,
    stages: Stage,
    tokens: Tokens,
    key: Key,
    *,
    temperature: float | Scalar = 1.0,
) -> Tokens:
    """x_0 from masks, by `unmask` from stage to stage; one program for grids of one length.

    Args:
      predict: the network.
      stages: n + 1 of them for n steps, from the first to the clean one.
      tokens: masks, and tokens that are known and stay.
      key: for the draws.
      temperature: divides the logits; below 1 likely tokens become likelier.

    Raises:
      ValueError: if the temperature is a number that is not positive.
    """
    check_temperature(temperature)

    def step(x, place):
        i, now, then = place
        logits = widen(predict(x, now)) / temperature
        return unmask(logits, x, then, now, jax.random.fold_in(key, i)), None

    return jax.lax.scan(step, tokens, pairs(stages))[0]
