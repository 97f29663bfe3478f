# SPDX-License-Identifier: Apache-2.0
"""One Markov chain: where it stands, what a step did, and many steps under one loop.

A kernel is a function `(..., chain, key) -> (chain, move)` of one chain; `vmap` makes it many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxml.types import Key, Scalar

LogProb = Callable[[Array], Scalar]
"""`x -> log p(x) + constant` in nats, of one x of any shape."""

S = TypeVar("S")


class Chain(NamedTuple):
    """Where a chain stands.

    Attributes:
      x: the state, of any shape.
      log_prob: log p(x) up to a constant, in nats.
      slope: ∇ log p(x) for kernels that follow it, otherwise None.
    """

    x: Shaped[Array, "*event"]
    log_prob: Scalar
    slope: Float[Array, "*event"] | None = None


class Move(NamedTuple):
    """What a step did.

    Attributes:
      acceptance: α, the probability with which the proposal is taken.
      accepted: whether it was.
      change: log p at the proposal − log p before; −∞ or NaN tell of a step that was far too long.
    """

    acceptance: Scalar
    accepted: Bool[Array, ""]
    change: Scalar


def start(log_prob: LogProb, x: Shaped[Array, "*event"], *, slope: bool = False) -> Chain:
    """The chain that begins at x.

    Args:
      log_prob: of the target.
      x: the state.
      slope: whether the kernel follows ∇ log p.
    """
    if slope:
        return Chain(x, *jax.value_and_grad(log_prob)(x))
    return Chain(x, log_prob(x))


def walk(
    step: Callable[[S, Key], tuple[S, Any]], state: S, key: Key, n: int, *, thin: int = 1
) -> tuple[S, tuple[S, Any]]:
    """n · thin steps under `lax.scan`; every thin-th state is kept.

    Args:
      step: `(state, key) -> (state, move)`, such as a kernel with all but chain and key given.
      state: where to begin: a `Chain`, or whatever the step takes.
      key: step i draws from `fold_in(key, i)`.
      n: states that are kept.
      thin: steps from one of them to the next.

    Returns:
      The last state, and the kept states with the moves that led to them, each with a leading
      axis of n.

    Raises:
      ValueError: if n or thin is below 1.
    """
    if n < 1 or thin < 1:
        raise ValueError(f"n, thin: expected at least 1 of both, got {n} and {thin}")

    def once(state, i):
        return step(state, jax.random.fold_in(key, i))

    def several(state, i):
        state = jax.lax.fori_loop(
            i * thin, (i + 1) * thin - 1, lambda j, state: once(state, j)[0], state
        )
        state, move = once(state, (i + 1) * thin - 1)
        return state, (state, move)

    return jax.lax.scan(several, state, jnp.arange(n))
