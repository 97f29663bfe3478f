# SPDX-License-Identifier: Apache-2.0
"""The compiled loop: any number of steps in one call of one executable."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.types import Array, Metrics


class Loop(NamedTuple):
    """A rule compiled for one structure of model and state.

    Attributes:
      run: `(leaves, key, data, first, n) -> (leaves, rows, n_done)`; the leaves are donated.
      shapes: `(leaves, key, data) -> {name: shape}`, the metrics in the order of their columns.
    """

    run: Callable
    shapes: Callable


@lru_cache(maxsize=16)
def build(update: Callable, take: Callable, structure: Any, capacity: int) -> Loop:
    """Compile `update` once for every number of steps up to `capacity`.

    The trip count is an argument of the executable, not a constant in it: a step executes the same
    instructions whether it is run alone, at the start of a chunk or after a resume, and so gives
    the same bits. Across the jit boundary go the bare leaves of model and state: no Python object
    is rebuilt between steps. Equal arguments give the same loop, so that continuing to train the
    same rule compiles nothing.

    Args:
      update: of the rule.
      take: of the batches.
      structure: the tree structure of `(model, state)`.
      capacity: rows for metrics.

    Raises:
      TypeError: when traced, if the rule changes the structure of model or state.
    """

    @jax.jit
    def step(leaves, key, data, index, offset):
        model, state = jax.tree.unflatten(structure, leaves)
        batch = take(data, index, offset)
        model, state, metrics = update(model, state, batch, jax.random.fold_in(key, index))
        after, changed = jax.tree.flatten((model, state))
        if changed != structure:
            raise TypeError(
                "a rule must keep the structure of model and state;\n"
                f"before: {str(structure)[:500]}\nafter:  {str(changed)[:500]}"
            )
        return after, metrics

    def shapes(leaves, key, data):
        zero = jnp.zeros((), jnp.int32)
        metrics = jax.eval_shape(step, leaves, key, data, zero, zero)[1]
        return {name: value.shape for name, value in metrics.items()}

    @partial(jax.jit, donate_argnums=0)
    def run(leaves, key, data, first, n):
        dtype = jnp.zeros(()).dtype

        def unfinished(carry):
            _, _, offset, halted = carry
            return (offset < n) & ~halted

        def body(carry):
            leaves, rows, offset, _ = carry
            leaves, metrics = step(leaves, key, data, first + offset, offset)
            row = [value.astype(dtype).ravel() for value in metrics.values()]
            row = jnp.concatenate(row) if row else jnp.zeros(0, dtype)
            return leaves, rows.at[offset].set(row), offset + 1, halt(metrics)

        width = sum(math.prod(shape) for shape in shapes(leaves, key, data).values())
        rows = jnp.zeros((capacity, width), dtype)
        start = (leaves, rows, jnp.zeros((), jnp.int32), jnp.array(False))
        leaves, rows, n_done, _ = jax.lax.while_loop(unfinished, body, start)
        return leaves, rows, n_done

    return Loop(run, shapes)


def halt(metrics: Metrics) -> Array:
    """Whether a guard asked to stop, whatever its place in the rule."""
    # Compared with 0, because an idle step (`every`) reports NaN, which counts as true.
    stopped = [jnp.any(value.astype(float) > 0) for name, value in metrics.items() if is_stop(name)]
    return jnp.stack([jnp.array(False), *stopped]).any()


def is_stop(name: str) -> bool:
    """Whether a metric is a guard's request to stop."""
    return name.split("/")[-1] == "stopped"


def columns(rows: np.ndarray, names: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The metrics of a stack of steps, each `(steps, *shape)`."""
    found, at = {}, 0
    for name, shape in names.items():
        width = math.prod(shape)
        found[name] = rows[:, at : at + width].reshape(len(rows), *shape)
        at += width
    return found
