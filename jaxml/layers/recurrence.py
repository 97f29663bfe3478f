# SPDX-License-Identifier: Apache-2.0
"""Sequences through a recurrent cell: forwards, backwards, both ways, and of unequal lengths."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float

from jaxml.layers.moments import along
from jaxml.types import Array, PyTree

Step = Callable[[Any, Array], tuple[Any, Array]]
"""`(state, projected input) -> (state, output)`: a cell without its product with the input."""


def scan(
    step: Step,
    state: PyTree,
    inputs: Float[Array, "*batch t i"],
    *,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[PyTree, Float[Array, "*batch t o"]]:
    """sₜ, yₜ = step(sₜ₋₁, xₜ) along the axis before the last.

    Args:
      step: the cell.
      state: s₀: arrays `*batch h`.
      inputs: x, what enters the cell, usually the projected sequence.
      mask: False where a sequence has no element: the state passes by and the output is 0. Padding
        may stand at the end, at the start or between, and may hold anything finite.
      reverse: from the last element to the first; outputs stay where their inputs are.

    Returns:
      The state after the last element that was read, and all outputs.
    """
    axis = inputs.ndim - 2

    def advance(state: PyTree, given: tuple[Array, Array | None]) -> tuple[PyTree, Array]:
        element, here = given
        new, output = step(state, element)
        if here is None:
            return new, output
        keep = here[..., None]
        new = jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, state)
        return new, jnp.where(keep, output, 0)

    elements = jnp.moveaxis(inputs, axis, 0)
    present = None if mask is None else jnp.moveaxis(mask, axis, 0)
    state, outputs = lax.scan(advance, state, (elements, present), reverse=reverse)
    return state, jnp.moveaxis(outputs, 0, axis)


def project(
    x: Float[Array, "*batch i"], kernel: Float[Array, "i o"], bias: Float[Array, " o"]
) -> Float[Array, "*batch o"]:
    """Project the input: x W + b, for a whole sequence one product in front of the loop."""
    return x @ kernel + along(bias, x)


def zero_state(x: Float[Array, "*batch t i"], n: int) -> Float[Array, "*batch {n}"]:
    """A state of n zeros for each sequence of `x`."""
    return jnp.zeros((*x.shape[:-2], n), x.dtype)


def bidirectional(
    forward: Callable[..., tuple[Any, Array]], backward: Callable[..., tuple[Any, Array]]
) -> Callable[..., tuple[tuple[Any, Any], Array]]:
    """Both directions side by side: y = [→y, ←y] along the channels.

    Args:
      forward: `(x, *, mask, reverse) -> (state, y)`, such as `partial(lstm, parameters=...)`.
      backward: the same with parameters of its own; called with `reverse=True`.

    Returns:
      `(x, *, mask=None) -> ((state, state), y)`. Layers are stacked by calling one on the `y` of
      the other.

    Reference: Schuster and Paliwal 1997, Bidirectional recurrent neural networks.
    """

    def both(x: Array, *, mask: Array | None = None) -> tuple[tuple[Any, Any], Array]:
        there, y = forward(x, mask=mask, reverse=False)
        back, z = backward(x, mask=mask, reverse=True)
        return (there, back), jnp.concatenate([y, z], -1)

    return both
