# SPDX-License-Identifier: Apache-2.0
"""Diffusion of categories: each position is kept or drawn anew from a stationary law π.

One transition matrix, Q = α I + (1 − α) 1 πᵀ, has the two kernels that matter as cases: π uniform,
and π a point, the mask. A sequence is noised position by position; what x_0 was is told by a
network that sees all of them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.diffusion.stage import Stage, drawn, kept, pairs
from jaxml.numerics import logsumexp, widen
from jaxml.types import Key, Scalar

Tokens = Integer[Array, "*shape"]
"""Categories 0 … K − 1, or 0 … K with K the mask."""

Law = Float[Array, " states"]
States = Float[Array, "*shape states"]

Predict = Callable[[Tokens, Stage], States]
"""`(x_t, stage) -> logits` of p(x_0^i | x_t) for every position; −inf excludes a category."""

Reverse = Callable[[Tokens, States, Stage, Stage, Law], States]
"""`(x_t, logits, before, after, law) -> log p(x_s | x_t)`: one of the two posteriors below."""


def uniform_law(n_tokens: int) -> Law:
    """π = 1/K.

    Raises:
      ValueError: for less than two categories.
    """
    _check(n_tokens, 2)
    return jnp.full(n_tokens, 1 / n_tokens)


def absorbing_law(n_tokens: int) -> Law:
    """π = δ at the mask, which is category K, behind the K of the data.

    Raises:
      ValueError: for less than one category.
    """
    _check(n_tokens, 1)
    return jnp.zeros(n_tokens + 1).at[n_tokens].set(1.0)


def discrete_step(x: States, before: Stage, after: Stage, law: Law) -> States:
    """q(x_t | x_s) = α_t/α_s x_s + (1 − α_t/α_s) π.

    Args:
      x: x_s as one-hot vectors, or its law.
      before: at s.
      after: at t > s.
      law: π.

    Reference: Austin et al. 2021, section 3.1, arXiv:2107.03006.
    """
    before, after = before.over(x), after.over(x)
    return kept(before, after) * x + drawn(before, after) * _over(law, x)


def discrete_jump(x0: States, now: Stage, law: Law) -> States:
    """q(x_t | x_0) = α_t x_0 + (1 − α_t) π: all steps in one."""
    now = now.over(x0)
    return now.alpha * x0 + now.lost * _over(law, x0)


def discrete_diffuse(x0: Tokens, now: Stage, law: Law, key: Key) -> Tokens:
    """A draw of q(x_t | x_0)."""
    lost_key, law_key = jax.random.split(key)
    # From 1 − α, whose digits α has lost where it is near 1.
    lost = jnp.broadcast_to(now.over(x0).lost, x0.shape)
    anew = jax.random.choice(law_key, law.shape[0], x0.shape, p=law)
    return jnp.where(jax.random.bernoulli(lost_key, lost, mode="high"), anew.astype(x0.dtype), x0)


def discrete_posterior(x: Tokens, logits: States, before: Stage, after: Stage, law: Law) -> States:
    """log p(x_s | x_t) with p ∝ q(x_t | x_s) Σ_{x_0} q(x_s | x_0) p(x_0): x_0's law plugged in.

    For a known x_0 (logits 0 there and −inf elsewhere) this is Bayes: q(x_s | x_t, x_0). For a
    network it is the x_0-parameterization of D3PM, whose p(x_0) does not know x_t at its own
    position yet: with p(x_0^i | the other positions of x_t) the reverse step is exact. An x_t that
    cannot have come about gives NaN.

    Args:
      x: x_t.
      logits: of p(x_0).
      before: at s; s = 0 is allowed.
      after: at t > s; α_t = 0 is allowed.
      law: π.

    Reference: Austin et al. 2021, equations 3 and 4, arXiv:2107.03006.
    """
    before, after = before.over(logits), after.over(logits)
    anew = drawn(before, after) * law.astype(logits.dtype)[x][..., None]
    likelihood = jnp.log(jnp.where(_own(x, logits), kept(before, after) + anew, anew))
    log_x0 = jnp.log(before.alpha) + jax.nn.log_softmax(logits)
    noise = jnp.broadcast_to(jnp.log(before.lost) + jnp.log(_over(law, logits)), logits.shape)
    joint = likelihood + logsumexp(jnp.stack([log_x0, noise]), axis=0)
    return joint - logsumexp(joint, axis=-1, keepdims=True)


def expected_posterior(x: Tokens, logits: States, before: Stage, after: Stage, law: Law) -> States:
    """log Σ_{x_0} q(x_s | x_t, x_0) p(x_0 | x_t): the posterior averaged over x_0.

    With p(x_0^i | x_t) the reverse step is exact. It is the other one at p(x_0)/q(x_t | x_0), so
    the two agree where q(x_t | x_0) does not depend on x_0, as at a mask. Categories that cannot
    have led to x_t are left out of the average.

    Args:
      x: x_t.
      logits: of p(x_0 | x_t).
      before: at s.
      after: at t > s.
      law: π.
    """
    now = after.over(logits)
    anew = now.lost * law.astype(logits.dtype)[x][..., None]
    jump = jnp.where(_own(x, logits), now.alpha + anew, anew)  # q(x_t | x_0) over x_0
    log_jump = jnp.log(jnp.where(jump > 0, jump, 1.0))
    return discrete_posterior(
        x, jnp.where(jump > 0, logits - log_jump, -jnp.inf), before, after, law
    )


def token_cost(logits: States, x0: Tokens) -> Float[Array, "*shape"]:
    """−log softmax(a)_{x_0} of every position, in nats; NaN for a token that has no logit."""
    log_p = jax.nn.log_softmax(widen(logits))
    return -jnp.take_along_axis(log_p, x0[..., None], axis=-1)[..., 0]


def gumbel_max(logits: States, key: Key) -> Integer[Array, "*shape"]:
    """argmax (a + G), G = −log(−log u): a draw of softmax(a) at every position, in float32.

    With 23 bits of u the largest G is 16: what is less likely than 1e-7 would never be drawn, and
    over many steps a text would come out colder than its model. Hence the wider range of u.

    Reference: Zheng et al. 2025, arXiv:2409.02908.
    """
    return jax.random.categorical(key, widen(logits), mode="high")


def discrete_ancestral(
    predict: Predict,
    stages: Stage,
    x: Tokens,
    law: Law,
    key: Key,
    *,
    temperature: float | Scalar = 1.0,
    reverse: Reverse = discrete_posterior,
) -> Tokens:
    """x_0 by draws of p(x_s | x_t) from stage to stage; one program for grids of one length.

    Args:
      predict: the network.
      stages: n + 1 of them for n steps, from the first to the clean one.
      x: at the first of them, such as draws of π.
      law: π.
      key: for the draws.
      temperature: divides the logits of x_0; below 1 likely tokens become likelier.
      reverse: `discrete_posterior` or `expected_posterior`.

    Raises:
      ValueError: if the temperature is a number that is not positive.
    """
    check_temperature(temperature)

    def step(x, place):
        i, now, then = place
        log_p = reverse(x, widen(predict(x, now)) / temperature, then, now, law)
        return gumbel_max(log_p, jax.random.fold_in(key, i)).astype(x.dtype), None

    return jax.lax.scan(step, x, pairs(stages))[0]


def check_temperature(temperature: float | Scalar) -> None:
    """Refuses numbers that are not positive; what is traced is taken on trust."""
    if isinstance(temperature, (int, float)) and not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")


def _own(x: Tokens, logits: States) -> Array:
    return jax.nn.one_hot(x, logits.shape[-1], dtype=bool)


def _over(law: Law, x: States) -> Float[Array, "*ones states"]:
    """π with axes of 1 before, so that it broadcasts against x."""
    return law.astype(x.dtype).reshape((1,) * (x.ndim - 1) + law.shape)


def _check(n_tokens: int, least: int) -> None:
    if n_tokens < least:
        raise ValueError(f"n_tokens: expected at least {least}, got {n_tokens}")
