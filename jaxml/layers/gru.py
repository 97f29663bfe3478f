# SPDX-License-Identifier: Apache-2.0
"""The gated recurrent unit, with the reset gate before or after the product."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxml.layers.moments import along
from jaxml.layers.recurrence import project, scan, zero_state
from jaxml.types import Array


class GRU(NamedTuple):
    """Parameters of a gated recurrent unit, the gates r, z and the candidate n side by side.

    Attributes:
      kernel: W, from input to gates.
      recurrent: U, from state to gates.
      bias: b, added to the product with W; for r and z the sum of PyTorch's two.
      candidate_bias: added to h Uₙ, inside of the reset gate where that comes after the product;
        elsewhere it adds to that of `bias`.
    """

    kernel: Float[Array, "i 3*h"]
    recurrent: Float[Array, "h 3*h"]
    bias: Float[Array, " 3*h"]
    candidate_bias: Float[Array, " h"]


def gru_cell(
    parameters: GRU,
    state: Float[Array, "*batch h"],
    x: Float[Array, "*batch i"],
    *,
    reset_after: bool = True,
) -> Float[Array, "*batch h"]:
    """r, z = σ(x W + h U + b); n = tanh(x Wₙ + bₙ + r ⊙ (h Uₙ + b′)); h ← (1 − z) ⊙ n + z ⊙ h.

    That is the reset after the product (PyTorch, cuDNN, Flax, Keras): one product a step. Before
    the product, as first published, the candidate is tanh(x Wₙ + bₙ + (r ⊙ h) Uₙ + b′): two.

    Args:
      parameters: W, U, b, b′.
      state: h before.
      x: one element of the sequence.
      reset_after: multiply by r after the product with Uₙ, or before it.

    Returns:
      h after, which is also the output.

    Reference: Cho et al. 2014, equations 5 to 8, arXiv:1406.1078, in which z and 1 − z stand as
    here; Chung et al. 2014 (arXiv:1412.3555) exchange them.
    """
    return _step(parameters, state, project(x, parameters.kernel, parameters.bias), reset_after)


def gru(
    x: Float[Array, "*batch t i"],
    parameters: GRU,
    state: Float[Array, "*batch h"] | None = None,
    *,
    reset_after: bool = True,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[Float[Array, "*batch h"], Float[Array, "*batch t h"]]:
    """hₜ = gru_cell(hₜ₋₁, xₜ) along a sequence; the products with W are one.

    Args:
      x: the sequence.
      parameters: W, U, b, b′.
      state: h₀, or 0.
      reset_after: multiply by r after the product with Uₙ, or before it.
      mask: False where a sequence has no element; see `jaxml.layers.recurrence.scan`.
      reverse: from the last element to the first.

    Returns:
      The last state and all states.
    """
    if state is None:
        state = zero_state(x, len(parameters.recurrent))

    def step(state: Array, projected: Array) -> tuple[Array, Array]:
        state = _step(parameters, state, projected, reset_after)
        return state, state

    return scan(
        step, state, project(x, parameters.kernel, parameters.bias), mask=mask, reverse=reverse
    )


def _step(parameters: GRU, state: Array, projected: Array, reset_after: bool) -> Array:
    h, bias = state.shape[-1], along(parameters.candidate_bias, state)
    if reset_after:
        product = state @ parameters.recurrent
        r, z = jnp.split(jax.nn.sigmoid(projected[..., : 2 * h] + product[..., : 2 * h]), 2, -1)
        n = jnp.tanh(projected[..., 2 * h :] + r * (product[..., 2 * h :] + bias))
    else:
        gates = projected[..., : 2 * h] + state @ parameters.recurrent[:, : 2 * h]
        r, z = jnp.split(jax.nn.sigmoid(gates), 2, -1)
        n = jnp.tanh(
            projected[..., 2 * h :] + (r * state) @ parameters.recurrent[:, 2 * h :] + bias
        )
    return n + z * (state - n)
