# SPDX-License-Identifier: Apache-2.0
"""Gibbs sampling: one part of x at a time, from its law given all others."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.probability.mcmc.chain import LogProb
from jaxml.types import Key

Draw = Callable[[Array, Key], Array]
"""`(x, key) -> x` with one part of x drawn from its law given the others."""


def conditional(
    log_prob: LogProb, x: Shaped[Array, "d"], i: int | Array, values: Shaped[Array, "k"]
) -> Float[Array, "k"]:
    """log p(x_i = v_j | all others) for every value v_j, in nats.

    Args:
      log_prob: of the target.
      x: the state; its own entry i does not matter.
      i: which entry.
      values: all that it may be.
    """
    logits = jax.vmap(lambda v: log_prob(x.at[i].set(v)))(values)
    return jax.nn.log_softmax(logits)


def coordinate(log_prob: LogProb, i: int | Array, values: Shaped[Array, "k"]) -> Draw:
    """Draws entry i, one of finitely many values, from its law given all others."""

    def draw(x: Array, key: Key) -> Array:
        chosen = jax.random.categorical(key, conditional(log_prob, x, i, values))
        return x.at[i].set(values[chosen])

    return draw


def sweep(draws: Sequence[Draw], x: Shaped[Array, "*event"], key: Key) -> Array:
    """All parts in the given order; keeps the target, but is no reversible kernel.

    Raises:
      ValueError: if there is no part.

    Reference: Geman and Geman 1984.
    """
    for i, draw in enumerate(_some(draws)):
        x = draw(x, jax.random.fold_in(key, i))
    return x


def at_random(draws: Sequence[Draw], x: Shaped[Array, "*event"], key: Key) -> Array:
    """One part, chosen uniformly; reversible with respect to the target.

    Raises:
      ValueError: if there is no part.
    """
    choice_key, key = jax.random.split(key)
    choice = jax.random.randint(choice_key, (), 0, len(_some(draws)))
    # Every part is drawn, because a choice that is mapped over may not take keys.
    drawn = jnp.stack([draw(x, jax.random.fold_in(key, i)) for i, draw in enumerate(draws)])
    return drawn[choice]


def _some(draws: Sequence[Draw]) -> Sequence[Draw]:
    if not draws:
        raise ValueError("draws: expected at least one part, got none")
    return draws
