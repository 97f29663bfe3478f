# SPDX-License-Identifier: Apache-2.0
"""Sequences through a recurrent cell: forwards, backwards, both ways, and of unequal lengths."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from jaxml.layers.moments import along
from jaxml.types import Array, PyTree

Step = Callable[[Any, Array], tuple[Any, Array]]
"""`(state, projected input) -> (state, output)`: a cell without its product with the input."""


class Cell(NamedTuple):
    """A cell without its products, of functions that act on each element by itself.

    Its input is z = p + γ ⊙ m, where p is the projected input, m = h U + b, and the gain γ is 1
    or depends on the state. The hidden state h is the first leaf of a state.

    Attributes:
      advance: `(state, p, m) -> (state, slopes)`; slopes is what the next two need of the step.
      tangent: `(slopes, state', z') -> state'`, the derivative of the step.
      gain: `(slopes, m') -> γ ⊙ m'`.
    """

    advance: Callable[[Any, Array, Array], tuple[Any, Any]]
    tangent: Callable[[Any, Any, Array], Any]
    gain: Callable[[Any, Array], Array] = lambda slopes, product: product


def run(
    cell: Cell,
    state: PyTree,
    projected: Float[Array, "t *batch g"],
    kernel: Float[Array, "h g"],
    bias: Float[Array, " g"] | None = None,
    *,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[PyTree, Float[Array, "*batch t h"]]:
    """sₜ = cell(sₜ₋₁, pₜ, hₜ₋₁ U + b); yₜ = hₜ.

    Autodiff of a loop adds to the gradient of U at every step, and keeps what every operation of a
    step needs. Here a step keeps its slopes alone, and the gradient of U is one product behind the
    loop: the tangents of U and b enter the loop of tangents through z'ₜ, computed for all t at
    once, which reverse mode turns round.

    Args:
      cell: what happens to each element.
      state: s₀: arrays `*batch h`.
      projected: p, time in front.
      kernel: U.
      bias: b, or 0.
      mask: False where a sequence has no element; see `scan`.
      reverse: from the last element to the first.

    Returns:
      The state after the last element that was read, and all hidden states.
    """
    present = None if mask is None else jnp.moveaxis(mask, -1, 0)
    state, outputs = _run(cell, reverse, state, projected, kernel, bias, present)
    return state, jnp.moveaxis(outputs, 0, -2)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _run(
    cell: Cell,
    reverse: bool,
    state: PyTree,
    projected: Array,
    kernel: Array,
    bias: Array | None,
    present: Array | None,
) -> tuple[PyTree, Array]:
    state, (outputs, _, _) = _with_slopes(cell, reverse, state, projected, kernel, bias, present)
    return state, outputs


def _with_slopes(
    cell: Cell,
    reverse: bool,
    state: PyTree,
    projected: Array,
    kernel: Array,
    bias: Array | None,
    present: Array | None,
) -> tuple[PyTree, tuple[Array, Array, PyTree]]:
    def advance(state: PyTree, given: tuple[Array, Array | None]) -> tuple[PyTree, Any]:
        p, here = given
        h = _hidden(state)
        new, slopes = cell.advance(state, p, _product(h, kernel, bias))
        new, output = _keep(here, new, state, _hidden(new))
        return new, (output, h, slopes)

    return lax.scan(advance, state, (projected, present), reverse=reverse)


@_run.defjvp
def _run_jvp(cell: Cell, reverse: bool, primals: Any, tangents: Any) -> Any:
    *_, kernel, _, present = primals
    d_state, d_projected, d_kernel, d_bias, _ = tangents
    state, (outputs, before, slopes) = _with_slopes(cell, reverse, *primals)
    drive = d_projected + cell.gain(slopes, _product_of_all(before, d_kernel, d_bias))

    def advance(d_state: PyTree, given: Any) -> tuple[PyTree, Array]:
        drive, slopes, here = given
        d_z = drive + cell.gain(slopes, _hidden(d_state) @ kernel)
        new = cell.tangent(slopes, d_state, d_z)
        return _keep(here, new, d_state, _hidden(new))

    d_state, d_outputs = lax.scan(advance, d_state, (drive, slopes, present), reverse=reverse)
    return (state, outputs), (d_state, d_outputs)


def _hidden(state: PyTree) -> Array:
    return jax.tree.leaves(state)[0]


def _product(h: Array, kernel: Array, bias: Array | None) -> Array:
    return h @ kernel if bias is None else h @ kernel + along(bias, h)


def _product_of_all(x: Array, kernel: Array, bias: Array | None) -> Array:
    """Rows in one axis: where the kernel's gradient sums over two, XLA transposes all gates."""
    rows = _product(x.reshape(-1, x.shape[-1]), kernel, bias)
    return rows.reshape(*x.shape[:-1], -1)


def _keep(here: Array | None, new: PyTree, old: PyTree, output: Array) -> tuple[PyTree, Array]:
    """Pass the old state by, and no output, where a sequence has no element."""
    if here is None:
        return new, output
    keep = here[..., None]
    return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old), jnp.where(keep, output, 0)


def scan(
    step: Step,
    state: PyTree,
    inputs: Float[Array, "t *batch i"],
    *,
    mask: Bool[Array, "*batch t"] | None = None,
    reverse: bool = False,
) -> tuple[PyTree, Float[Array, "*batch t o"]]:
    """sₜ, yₜ = step(sₜ₋₁, xₜ) for any cell; autodiff takes the derivatives of the loop.

    Args:
      step: the cell.
      state: s₀: arrays `*batch h`.
      inputs: x, what enters the cell, time in front.
      mask: False where a sequence has no element: the state passes by and the output is 0. Padding
        may stand at the end, at the start or between, and may hold anything finite.
      reverse: from the last element to the first; outputs stay where their inputs are.

    Returns:
      The state after the last element that was read, and all outputs.
    """

    def advance(state: PyTree, given: tuple[Array, Array | None]) -> tuple[PyTree, Array]:
        element, here = given
        new, output = step(state, element)
        return _keep(here, new, state, output)

    present = None if mask is None else jnp.moveaxis(mask, -1, 0)
    state, outputs = lax.scan(advance, state, (inputs, present), reverse=reverse)
    return state, jnp.moveaxis(outputs, 0, -2)


def project(
    x: Float[Array, "*batch i"] | Int[Array, "*batch"],
    kernel: Float[Array, "i o"],
    bias: Float[Array, " o"] | None = None,
) -> Float[Array, "*batch o"]:
    """x W + b; for indices, which stand for one-hot rows, W[x] + b."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return (kernel if bias is None else kernel + along(bias, kernel))[x]
    return _product_of_all(x, kernel, bias)


def project_sequence(
    x: Float[Array, "*batch t i"] | Int[Array, "*batch t"],
    kernel: Float[Array, "i o"],
    bias: Float[Array, " o"] | None = None,
) -> Float[Array, "t *batch o"]:
    """x W + b for all elements in one product, time in front as the loop reads it."""
    axis = -1 if jnp.issubdtype(x.dtype, jnp.integer) else -2
    return project(jnp.moveaxis(x, axis, 0), kernel, bias)


def zero_state(projected: Float[Array, "t *batch o"], n: int) -> Float[Array, "*batch {n}"]:
    """A state of n zeros for each sequence."""
    return jnp.zeros((*projected.shape[1:-1], n), projected.dtype)


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
