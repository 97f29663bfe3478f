# SPDX-License-Identifier: Apache-2.0
"""The simple recurrent network of Elman."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxml.layers.recurrence import project, project_sequence, scan, zero_state
from jaxml.types import Array


class RNN(NamedTuple):
    """Parameters of a simple recurrent network.

    Attributes:
      kernel: W, from input to state.
      recurrent: U, from state to state.
      bias: b.
    """

    kernel: Float[Array, "i h"]
    recurrent: Float[Array, "h h"]
    bias: Float[Array, " h"]


def rnn_cell(
    parameters: RNN,
    state: Float[Array, "*batch h"],
    x: Float[Array, "*batch i"] | Int[Array, "*batch"],
    *,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> Float[Array, "*batch h"]:
    """h ← φ(x W + h U + b).

    Args:
      parameters: W, U, b.
      state: h before.
      x: one element of the sequence.
      activation: φ.

    Returns:
      h after, which is also the output.

    Reference: Elman 1990, Finding structure in time.
    """
    return activation(project(x, parameters.kernel, parameters.bias) + state @ parameters.recurrent)


def rnn(
    x: Float[Array, "*batch t i"] | Int[Array, "*batch t"],
    parameters: RNN,
    state: Float[Array, "*batch h"] | None = None,
    *,
    activation: Callable[[Array], Array] = jnp.tanh,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[Float[Array, "*batch h"], Float[Array, "*batch t h"]]:
    """hₜ = φ(xₜ W + hₜ₋₁ U + b) along a sequence; the products with W are one.

    Args:
      x: the sequence; indices stand for one-hot vectors and read rows of W.
      parameters: W, U, b.
      state: h₀, or 0.
      activation: φ.
      mask: False where a sequence has no element; see `jaxml.layers.recurrence.scan`.
      reverse: from the last element to the first.

    Returns:
      The last state and all states.
    """
    projected = project_sequence(x, parameters.kernel, parameters.bias)
    if state is None:
        state = zero_state(projected, len(parameters.recurrent))

    def step(state: Array, projected: Array) -> tuple[Array, Array]:
        state = activation(projected + state @ parameters.recurrent)
        return state, state

    return scan(step, state, projected, mask=mask, reverse=reverse)
