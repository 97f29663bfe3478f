# SPDX-License-Identifier: Apache-2.0
"""What an update rule is, and how a formula for one array becomes a rule for a tree of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxml.numerics import widen
from jaxml.types import Array, PyTree, Scalar

Rate = float | Scalar | Callable[[Array], Any]
"""η: a number, or a schedule: a function of the number of updates before this one."""


Slots = dict[str, Array]
"""What a rule remembers of one leaf."""


class Optimizer(NamedTuple):
    """θ ← θ + Δ with `Δ, state = update(gradients, state, θ)`: the shape that Optax has.

    Attributes:
      init: `θ -> state`.
      update: `(gradients, state, θ) -> (Δ, state)`; rules that do not look at θ take None.
    """

    init: Callable[[PyTree], PyTree]
    update: Callable[..., tuple[PyTree, PyTree]]


def per_leaf(
    begin: Callable[[Array], Slots],
    step: Callable[..., tuple[Array, PyTree]],
    coefficients: Callable[[Scalar], tuple[Any, ...]],
    *,
    needs_params: bool = False,
) -> Optimizer:
    """The rule that applies one formula to every leaf by itself.

    Slots are float32 at least, and so is the arithmetic: in bfloat16 a second moment with decay
    0.999 would never move. Δ comes back in the dtype of the gradient.

    Args:
      begin: `p -> slots`, what is remembered of a leaf, by name, from its first value.
      step: `(g, slots, p, *coefficients) -> (Δ, slots)`; p is None where the caller gave none.
      coefficients: `n -> numbers`, computed once for all leaves; n updates came before this one.
      needs_params: whether `step` reads p.

    Returns:
      An optimizer with the state `{"count", "slots"}`: a tree like θ for each name.
    """

    def init(params: PyTree) -> PyTree:
        leaves, tree = jax.tree.flatten(params)
        slots = _by_name([begin(widen(p)) for p in leaves], tree)
        return {"count": jnp.zeros((), jnp.int32), "slots": slots}

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        if needs_params and params is None:
            raise ValueError("update: this rule needs the parameters as its third argument")
        leaves, tree = jax.tree.flatten(gradients)
        slots = _by_leaf(state["slots"], tree)
        values = [None] * len(leaves) if params is None else tree.flatten_up_to(params)
        numbers = coefficients(state["count"].astype(jnp.zeros(()).dtype))
        pairs = [one(*leaf, numbers) for leaf in zip(leaves, slots, values, strict=True)]
        new = _by_name([pair[1] for pair in pairs], tree)
        state = {"count": state["count"] + 1, "slots": new}
        return tree.unflatten([pair[0] for pair in pairs]), state

    def one(g: Array, slots: Slots, p: Array | None, numbers: tuple) -> tuple[Array, Slots]:
        wide = widen(g)
        cast = [jnp.asarray(number).astype(wide.dtype) for number in numbers]
        delta, slots = step(wide, slots, None if p is None else widen(p), *cast)
        return delta.astype(g.dtype), slots

    return Optimizer(init, update)


def _by_name(slots: Sequence[Slots], tree: Any) -> dict[str, PyTree]:
    """A tree for each name, None where a leaf has no such slot.

    A call of a compiled step takes such a state apart faster than one with a dict at every leaf.
    """
    names = dict.fromkeys(name for of_leaf in slots for name in of_leaf)
    return {name: tree.unflatten([of_leaf.get(name) for of_leaf in slots]) for name in names}


def _by_leaf(trees: Mapping[str, PyTree], tree: Any) -> list[Slots]:
    """The slots of each leaf."""
    slots: list[Slots] = [{} for _ in range(tree.num_leaves)]
    for name, values in trees.items():
        for of_leaf, value in zip(slots, tree.flatten_up_to(values), strict=True):
            if value is not None:
                of_leaf[name] = value
    return slots


def rate_at(rate: Rate, count: Scalar) -> Any:
    """η after `count` updates."""
    return rate(count) if callable(rate) else rate


def debias(decay: float, count: Scalar) -> Float[Array, ""]:
    """1 − dⁿ⁺¹, the weight that an average from 0 has gathered after n + 1 updates.

    Through expm1, because 1 − 0.999 has lost five of its digits in float32.
    """
    log = jnp.log1p(jnp.asarray(decay - 1.0, count.dtype))
    return -jnp.expm1((count + 1) * log)


def fraction(name: str, value: float) -> float:
    """The value as a float, if it lies in [0, 1).

    Raises:
      ValueError: naming it, if not.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """The value as a float, if it is not negative.

    Raises:
      ValueError: naming it, if it is.
    """
    if not value >= 0:
        raise ValueError(f"{name}: expected a number that is not negative, got {value}")
    return float(value)
