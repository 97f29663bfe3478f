# SPDX-License-Identifier: Apache-2.0
"""The gated recurrent unit, with the reset gate before or after the product."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jaxml.layers.moments import along
from jaxml.layers.recurrence import Cell, project, project_sequence, run, scan, zero_state
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
    x: Float[Array, "*batch i"] | Int[Array, "*batch"],
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
    if not reset_after:
        return _step(parameters, state, project(x, parameters.kernel, parameters.bias))
    kernel, recurrent, bias, offset = _halved(parameters)
    product = state @ recurrent + along(offset, state)
    return _advance(state, project(x, kernel, bias), product)[0]


def gru(
    x: Float[Array, "*batch t i"] | Int[Array, "*batch t"],
    parameters: GRU,
    state: Float[Array, "*batch h"] | None = None,
    *,
    reset_after: bool = True,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[Float[Array, "*batch h"], Float[Array, "*batch t h"]]:
    """hₜ = gru_cell(hₜ₋₁, xₜ) along a sequence; the products with W are one.

    Args:
      x: the sequence; indices stand for one-hot vectors and read rows of W.
      parameters: W, U, b, b′.
      state: h₀, or 0.
      reset_after: multiply by r after the product with Uₙ, or before it.
      mask: False where a sequence has no element; see `jaxml.layers.recurrence.scan`.
      reverse: from the last element to the first.

    Returns:
      The last state and all states.
    """
    kernel, recurrent, bias, offset = _halved(parameters) if reset_after else parameters
    projected = project_sequence(x, kernel, bias)
    if state is None:
        state = zero_state(projected, len(recurrent))
    if reset_after:
        return run(CELL, state, projected, recurrent, offset, mask=mask, reverse=reverse)

    def step(state: Array, projected: Array) -> tuple[Array, Array]:
        state = _step(parameters, state, projected)
        return state, state

    return scan(step, state, projected, mask=mask, reverse=reverse)


class Slopes(NamedTuple):
    """The derivatives of a step, all at its own place.

    Attributes:
      reset, update, candidate: of h by the inputs of r, z and n.
      keep: of h by the h before, next to the products.
      gate: r, by which h Uₙ + b′ enters n.
    """

    reset: Array
    update: Array
    candidate: Array
    keep: Array
    gate: Array


def _halved(parameters: GRU) -> tuple[Array, Array, Array, Array]:
    """W, U, b with half of what enters a sigmoid, σ(x) = ½ + ½ tanh(x / 2); b′ behind zeros."""
    h, dtype = len(parameters.recurrent), parameters.bias.dtype
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1], dtype), h)
    kernel, recurrent = parameters.kernel * scale[None], parameters.recurrent * scale[None]
    offset = jnp.concatenate([jnp.zeros(2 * h, dtype), parameters.candidate_bias])
    return kernel, recurrent, parameters.bias * scale, offset


def _advance(state: Array, projected: Array, product: Array) -> tuple[Array, Slopes]:
    h = state.shape[-1]
    gates = jnp.tanh(projected[..., : 2 * h] + product[..., : 2 * h])
    r, z = jnp.split(0.5 * gates + 0.5, 2, -1)
    inner = product[..., 2 * h :]
    n = jnp.tanh(projected[..., 2 * h :] + r * inner)
    candidate = (1 - z) * (1 - n * n)
    slopes = Slopes(
        reset=2 * candidate * inner * r * (1 - r),
        update=2 * (state - n) * z * (1 - z),
        candidate=candidate,
        keep=z,
        gate=r,
    )
    return n + z * (state - n), slopes


def _tangent(slopes: Slopes, state: Array, z: Array) -> Array:
    reset, update, candidate = jnp.split(z, 3, -1)
    return (
        slopes.keep * state
        + slopes.reset * reset
        + slopes.update * update
        + slopes.candidate * candidate
    )


def _gain(slopes: Slopes, product: Array) -> Array:
    reset, update, candidate = jnp.split(product, 3, -1)
    return jnp.concatenate([reset, update, slopes.gate * candidate], -1)


CELL = Cell(_advance, _tangent, _gain)


def _step(parameters: GRU, state: Array, projected: Array) -> Array:
    """The reset before the product."""
    h, recurrent = state.shape[-1], parameters.recurrent
    gates = projected[..., : 2 * h] + state @ recurrent[:, : 2 * h]
    r, z = jnp.split(jax.nn.sigmoid(gates), 2, -1)
    inner = (r * state) @ recurrent[:, 2 * h :] + along(parameters.candidate_bias, state)
    n = jnp.tanh(projected[..., 2 * h :] + inner)
    return n + z * (state - n)
