# SPDX-License-Identifier: Apache-2.0
"""Discrete flow matching: a jump process from a source law to data, along mixtures of the two.

p_t(x | x_0, x_1) = (1 − κ_t) δ_{x_0} + κ_t δ_{x_1} at every position, here with x_0 the noise and
x_1 the data, as the papers of this field have it. κ is `Stage.alpha`, and their time is 1 − t.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxml.diffusion.discrete import (
    Law,
    Predict,
    States,
    Tokens,
    check_temperature,
    gumbel_max,
    token_cost,
)
from jaxml.diffusion.stage import Stage, Time, pairs, regained
from jaxml.numerics import widen
from jaxml.types import Key, Scalar


def mix_tokens(x1: Tokens, x0: Tokens, now: Stage, key: Key) -> Tokens:
    """A draw of p_t(x | x_0, x_1): data with probability κ, the source else.

    Reference: Gat et al. 2024, arXiv:2407.15595.
    """
    noise = jax.random.bernoulli(key, jnp.broadcast_to(now.over(x1).lost, x1.shape), mode="high")
    return jnp.where(noise, x0, x1)


def velocity_to_data(p1: States, x: Tokens, rate: Time) -> States:
    """u_t = κ′/(1 − κ) (p_{1|t} − δ_x): by how much a position's law changes, per unit of time.

    Args:
      p1: p(x_1^i | x_t), probabilities.
      x: x_t.
      rate: κ′/(1 − κ), see `jaxml.diffusion.stage.rate`.

    Reference: Gat et al. 2024, arXiv:2407.15595; Campbell et al. 2024, arXiv:2402.04997.
    """
    return _over(rate, p1) * (p1 - _own(x, p1))


def velocity_to_noise(p1: States, x: Tokens, now: Stage, rate: Time, law: Law) -> States:
    """κ′/κ (p_{0|t} − δ_x): the velocity that walks the same path the other way.

    β of it and 1 + β of `velocity_to_data` together lead along the path, for any β ≥ 0: jumps back
    to noise give a position that was guessed too early another chance.

    Args:
      p1: p(x_1^i | x_t).
      x: x_t.
      now: κ, above 0.
      rate: κ′/κ.
      law: π, that of the source at every position, independent of x_1.

    Reference: Gat et al. 2024, of correctors, arXiv:2407.15595; Campbell et al. 2024, of detailed
    balance, arXiv:2402.04997.
    """
    return _over(rate, p1) * (source_posterior(p1, x, now, law) - _own(x, p1))


def source_posterior(p1: States, x: Tokens, now: Stage, law: Law) -> States:
    """p(x_0^i | x_t), what the noise at a position was, from p(x_1^i | x_t).

    If x_1 is not what is seen, the noise is. If it is, then noise is seen with probability
    (1 − κ) π(x)/((1 − κ) π(x) + κ), and else it is hidden and any draw of π.
    """
    now, own, law = now.over(p1), _own(x, p1), law.astype(p1.dtype)
    same = now.lost * law[x][..., None]
    total = same + now.alpha
    hidden = jnp.where(total > 0, now.alpha / jnp.where(total > 0, total, 1.0), 0.0)
    hidden = hidden * jnp.sum(p1 * own, axis=-1, keepdims=True)
    return hidden * law.reshape((1,) * (p1.ndim - 1) + law.shape) + (1 - hidden) * own


def flow_step(
    p1: States, x: Tokens, now: Stage, then: Stage, law: Law, *, eta: float | Scalar = 0.0
) -> States:
    """The law of a step: δ_x + (1 + β) Δκ/(1 − κ) (p_{1|t} − δ_x) + β Δκ/κ (p_{0|t} − δ_x).

    A step of Euler by the clock κ, in which the velocity is the same for every schedule. Without
    noise no step is too long: Δκ/(1 − κ) ≤ 1, and 1 at the end. β = η κ_t (1 − κ_s), which for
    κ = t is the rate of Campbell et al. times 1 − κ: a step that ends in data adds no noise.

    Args:
      p1: p(x_1^i | x_t), probabilities.
      x: x_t.
      now: κ_t.
      then: κ_s > κ_t.
      law: π.
      eta: η ≥ 0; where a step would leave with a probability above 1, it leaves.

    Reference: Gat et al. 2024, arXiv:2407.15595.
    """
    now, then = now.over(p1), then.over(p1)
    part = regained(then, now)
    beta = eta * now.alpha * then.lost
    forth, back = part * (1 + beta), eta * (then.alpha - now.alpha) * then.lost
    scale = 1 / jnp.maximum(forth + back, 1.0)
    # A mixture, and no sum of changes, which rounds to probabilities below 0.
    stay = jnp.maximum(1 - scale * (forth + back), 0.0)
    there = scale * forth * p1 + stay * _own(x, p1)
    if isinstance(eta, (int, float)) and eta == 0:
        return there
    return there + scale * back * source_posterior(p1, x, now, law)


def flow_cost(
    logits: Float[Array, "*batch length states"],
    x1: Integer[Array, "*batch length"],
    *,
    where: Bool[Array, "*batch length"] | None = None,
) -> Float[Array, "*batch"]:
    """−Σ log p(x_1^i | x_t) over positions, in nats a sequence; its minimum is p_{1|t}.

    Args:
      logits: of p(x_1^i | x_t).
      x1: data.
      where: positions that count, such as those of masks; None for all.

    Reference: Gat et al. 2024, arXiv:2407.15595.
    """
    cost = token_cost(logits, x1)
    return jnp.sum(cost if where is None else jnp.where(where, cost, 0.0), axis=-1)


def flow_sample(
    predict: Predict,
    stages: Stage,
    x: Tokens,
    law: Law,
    key: Key,
    *,
    eta: float | Scalar = 0.0,
    temperature: float | Scalar = 1.0,
) -> Tokens:
    """x_1 by draws of `flow_step` from stage to stage; one program for grids of one length.

    Args:
      predict: the network.
      stages: n + 1 of them for n steps, κ rising to 1.
      x: at the first of them, such as draws of the source.
      law: π.
      key: for the draws.
      eta: η, how much noise comes and goes on the way.
      temperature: divides the logits.

    Raises:
      ValueError: if η is a negative number or the temperature one that is not positive.
    """
    check_temperature(temperature)
    if isinstance(eta, (int, float)) and not eta >= 0:
        raise ValueError(f"eta: expected a number that is not negative, got {eta}")

    def step(x, place):
        i, now, then = place
        p1 = jax.nn.softmax(widen(predict(x, now)) / temperature)
        p = flow_step(p1, x, now, then, law, eta=eta)
        return gumbel_max(jnp.log(p), jax.random.fold_in(key, i)).astype(x.dtype), None

    return jax.lax.scan(step, x, pairs(stages))[0]


def _own(x: Tokens, p: States) -> States:
    return jax.nn.one_hot(x, p.shape[-1], dtype=p.dtype)


def _over(rate: Time, p: States) -> Array:
    return rate.reshape(rate.shape + (1,) * (p.ndim - rate.ndim))
