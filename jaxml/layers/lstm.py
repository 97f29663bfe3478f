# SPDX-License-Identifier: Apache-2.0
"""Long short-term memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxml.layers.recurrence import project, scan, zero_state
from jaxml.types import Array


class LSTM(NamedTuple):
    """Parameters of a long short-term memory, the gates i, f, c̃, o side by side.

    This is the order of PyTorch and of Flax's optimized cell. Frameworks differ in whether the
    forget gate starts with a bias of 1, which is the caller's to choose.

    Attributes:
      kernel: W, from input to gates.
      recurrent: U, from state to gates.
      bias: b; PyTorch's two biases are summed.
    """

    kernel: Float[Array, "i 4*h"]
    recurrent: Float[Array, "h 4*h"]
    bias: Float[Array, " 4*h"]


class LSTMState(NamedTuple):
    """What the cell remembers.

    Attributes:
      h: hidden state, which is also the output.
      c: cell state.
    """

    h: Float[Array, "*batch h"]
    c: Float[Array, "*batch h"]


def lstm_cell(parameters: LSTM, state: LSTMState, x: Float[Array, "*batch i"]) -> LSTMState:
    """i, f, o = σ(·), c̃ = tanh(·) of x W + h U + b; c ← f ⊙ c + i ⊙ c̃; h ← o ⊙ tanh c.

    Args:
      parameters: W, U, b.
      state: h and c before.
      x: one element of the sequence.

    Reference: Hochreiter and Schmidhuber 1997; with the forget gate of Gers, Schmidhuber and
    Cummins 2000, Learning to forget.
    """
    return _step(parameters, state, project(x, parameters.kernel, parameters.bias))


def lstm(
    x: Float[Array, "*batch t i"],
    parameters: LSTM,
    state: LSTMState | None = None,
    *,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[LSTMState, Float[Array, "*batch t h"]]:
    """hₜ, cₜ = lstm_cell(hₜ₋₁, cₜ₋₁, xₜ) along a sequence; the products with W are one.

    Args:
      x: the sequence.
      parameters: W, U, b.
      state: h₀ and c₀, or 0.
      mask: False where a sequence has no element; see `jaxml.layers.recurrence.scan`.
      reverse: from the last element to the first.

    Returns:
      The last state and all hidden states.
    """
    if state is None:
        zero = zero_state(x, len(parameters.recurrent))
        state = LSTMState(zero, zero)

    def step(state: LSTMState, projected: Array) -> tuple[LSTMState, Array]:
        state = _step(parameters, state, projected)
        return state, state.h

    return scan(
        step, state, project(x, parameters.kernel, parameters.bias), mask=mask, reverse=reverse
    )


def _step(parameters: LSTM, state: LSTMState, projected: Array) -> LSTMState:
    i, f, g, o = jnp.split(projected + state.h @ parameters.recurrent, 4, -1)
    c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)
