# SPDX-License-Identifier: Apache-2.0
"""The compiled loop: any number of steps in one call of one executable."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.types import Array, Batches, Key, Metrics, Model, Rule, State


class Loop(NamedTuple):
    """A rule compiled for one model structure, with donated buffers.

    Attributes:
      run: `(leaves, key, data, first, n) -> (leaves, rows, n_done)`; the leaves are donated.
      names: the metrics in the order of their columns in `rows`, with their shapes.
    """

    run: Callable
    names: dict[str, tuple[int, ...]]


def build(
    rule: Rule, model: Model, state: State, batches: Batches, data, key: Key, capacity: int
) -> Loop:
    """Compile `rule` once for every number of steps up to `capacity`.

    The trip count is an argument of the executable, not a constant in it: a step executes the same
    instructions whether it is run alone, at the start of a chunk or after a resume, and so gives
    the same bits. Across the jit boundary go the bare leaves of model and state: no Python object
    is rebuilt between steps.

    Raises:
      TypeError: if the rule returns a model or a state of another structure than it was given.
    """
    leaves, structure = jax.tree.flatten((model, state))

    @jax.jit
    def step(leaves, key, data, index, offset):
        model, state = jax.tree.unflatten(structure, leaves)
        batch = batches.take(data, index, offset)
        model, state, metrics = rule.update(model, state, batch, jax.random.fold_in(key, index))
        after, changed = jax.tree.flatten((model, state))
        if changed != structure:
            raise TypeError(
                f"a rule must keep the structure of model and state:\n{_diff(structure, changed)}"
            )
        return after, metrics

    zero = jnp.zeros((), jnp.int32)
    _, metrics = jax.eval_shape(step, leaves, key, data, zero, zero)
    names = {name: value.shape for name, value in metrics.items()}
    width = sum(int(np.prod(shape)) for shape in names.values())
    float_dtype = jnp.zeros(()).dtype

    @partial(jax.jit, donate_argnums=0)
    def run(leaves, key, data, first, n):
        def unfinished(carry):
            _, _, offset, halted = carry
            return (offset < n) & ~halted

        def body(carry):
            leaves, rows, offset, _ = carry
            leaves, metrics = step(leaves, key, data, first + offset, offset)
            row = [value.astype(float_dtype).ravel() for value in metrics.values()]
            row = jnp.concatenate(row) if row else jnp.zeros(0, float_dtype)
            return leaves, rows.at[offset].set(row), offset + 1, halt(metrics)

        rows = jnp.zeros((capacity, width), float_dtype)
        start = (leaves, rows, jnp.zeros((), jnp.int32), jnp.array(False))
        leaves, rows, n_done, _ = jax.lax.while_loop(unfinished, body, start)
        return leaves, rows, n_done

    return Loop(run, names)


def halt(metrics: Metrics) -> Array:
    """Whether a guard asked to stop, whatever its place in the rule."""
    stopped = [value for name, value in metrics.items() if is_stop(name)]
    return jnp.stack([jnp.any(flag) for flag in stopped]).any() if stopped else jnp.array(False)


def is_stop(name: str) -> bool:
    """Whether a metric is a guard's request to stop."""
    return name.split("/")[-1] == "stopped"


def columns(rows: np.ndarray, names: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The metrics of a stack of steps, each `(steps, *shape)`."""
    found, at = {}, 0
    for name, shape in names.items():
        width = int(np.prod(shape))
        found[name] = rows[:, at : at + width].reshape(len(rows), *shape)
        at += width
    return found


def _diff(before, after) -> str:
    return f"  before: {before}\n  after:  {after}"[:1000]
