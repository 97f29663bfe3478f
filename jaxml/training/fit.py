# SPDX-License-Identifier: Apache-2.0
"""Training as a generator: the caller owns the loop, the compiled loop owns the steps."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.training import loop
from jaxml.training.rule.guard import idle_flags, leaf_names
from jaxml.types import Batches, Key, Model, Rule, State

INIT = np.uint32(2**32 - 1)  # folds a key apart from every step's, which are int32
CAPACITY = 1000  # rows of metrics, and of streamed batches, that a call with `seconds` may take


class NonFiniteError(ArithmeticError):
    """A guarded rule met NaN or infinity and its policy was to stop.

    Attributes:
      step: the number of the bad step, counted from 1; the steps before it were applied.
      model, state: as they were before the bad step: running that step again reproduces it.
    """

    def __init__(self, message: str, step: int, model: Model, state: State):
        super().__init__(message)
        self.step, self.model, self.state = step, model, state


def fit(
    rule: Rule,
    model: Model,
    batches: Batches,
    key: Key,
    *,
    steps: int,
    state: State | None = None,
    first: int = 0,
    chunk: int | tuple[int, ...] = 100,
    seconds: float | None = None,
) -> Iterator[tuple[int, Model, State, dict[str, np.ndarray]]]:
    """Train, and yield `(step, model, state, metrics)` at every absolute multiple of `chunk`.

    `step` counts the steps done; `metrics` maps each name to its values at the steps since the
    last yield, `(steps, ...)`. Step i (from 0) draws from `fold_in(key, i)` and sees batch i, so a
    run continued with `first=step, state=state` is the uninterrupted run bit for bit.

    The yielded model and state live in buffers that the next chunk reuses: copy what is to be
    kept (`jax.tree.map(jnp.copy, model)`). The model passed in is left alone.

    Args:
      rule: how to learn.
      model: what learns.
      batches: where the data come from.
      key: the source of all randomness of the run but the model's own initialization.
      steps: the number of the last step.
      state: the rule's state; `None` makes a fresh one with `rule.init`.
      first: how many steps `model` and `state` have already seen.
      chunk: how many steps one call of the compiled loop may do. Given several numbers, such as
        `(save_every, look_every)`, it yields at the multiples of each.
      seconds: aim for calls of this length and at most 1000 steps, yielding more often, so that
        a slow rule can be interrupted and a huge chunk takes no memory; where the calls are cut
        does not change a single bit.

    Raises:
      ValueError: if a `chunk` is below 1 or none is given, or not 0 <= `first` <= `steps`.
      NonFiniteError: where a `guard` asked to stop, after the good steps were yielded.
    """
    periods = chunk if isinstance(chunk, tuple) else (chunk,)
    if min(periods, default=0) < 1:
        raise ValueError(f"fit: chunk must be at least 1, got {chunk}")
    if not 0 <= first <= steps:
        raise ValueError(f"fit: expected 0 <= first <= steps, got first={first}, steps={steps}")
    if state is None:
        state = rule.init(model, jax.random.fold_in(key, INIT))
    leaves, structure = jax.tree.flatten((model, state))
    # A dtype of its own makes a leaf strongly typed, as it would come back from a checkpoint.
    leaves = [jnp.array(leaf, jnp.asarray(leaf).dtype, copy=True) for leaf in leaves]
    capacity = min(periods) if seconds is None else min(*periods, CAPACITY)
    compiled = loop.build(rule.update, batches.take, structure, capacity)
    shapes: dict[str, tuple[int, ...]] = {}
    length = capacity if seconds is None else 1
    done = first
    while done < steps:
        n = min(length, steps - done, *(period - done % period for period in periods))
        data = batches.feed(done, n, capacity)
        if done == first:
            shapes = compiled.shapes(leaves, key, data)
        start = time.perf_counter()
        leaves, rows, n_done = compiled.run(leaves, key, data, np.int32(done), np.int32(n))
        n_done = int(n_done)
        metrics = loop.columns(np.asarray(rows)[:n_done].copy(), shapes)
        length = min(_next_length(length, time.perf_counter() - start, seconds), capacity)
        model, state = jax.tree.unflatten(structure, leaves)
        done += n_done
        bad = _bad_row(metrics)
        if bad is not None:
            if n_done > 1:
                yield done - 1, model, state, {k: v[:-1] for k, v in metrics.items()}
            raise NonFiniteError(_describe(done, bad, model, state), done, model, state)
        yield done, model, state, metrics


def _next_length(length: int, elapsed: float, seconds: float | None) -> int:
    """Double or halve the call until it takes about `seconds`."""
    if seconds is None:
        return length
    if elapsed > seconds:
        return max(1, length // 2)
    return length * 2 if elapsed < seconds / 3 else length


def _bad_row(metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    last = {name: values[-1:] for name, values in metrics.items()}
    return last if any(loop.is_stop(name) and np.any(v > 0) for name, v in last.items()) else None


def _describe(step: int, row: dict[str, np.ndarray], model: Model, state: Any) -> str:
    """Name the step, the loss and the first bad leaf: what a person looks for first."""
    name = next(name for name, value in row.items() if loop.is_stop(name) and np.any(value > 0))
    prefix = name.removesuffix("stopped")
    index = int(np.max(row[prefix + "bad_leaf"]))
    leaf = "none: a metric alone"
    if index >= 0:
        leaf = leaf_names(*_guarded(model, state, prefix.split("/")[:-1]))[index]
    told = _telling({name: value for name, value in row.items() if name.startswith(prefix)})
    value = f"{told} = {np.squeeze(row[told])}; " if told else ""
    return f"step {step}: {value}first non-finite leaf: {leaf}"


def _guarded(model: Model, state: Any, parts: list[str]) -> tuple[Model, Any]:
    """The model and the state of what the guard at this place guards.

    A rule keeps another one's state as `rule`; models side by side are a dict of them.
    """
    holder = state
    for part in (*parts, "skipped"):
        while part not in state:
            state = state["rule"]
        holder, state = state, state[part]
        model = model[part] if isinstance(model, dict) and part in model else model
    return model, holder["rule"]


def _telling(row: dict[str, np.ndarray]) -> str | None:
    """A metric that is not finite, else a loss; before all, a loss that is not finite."""
    ranks = {
        name: (bool(np.isfinite(value).all()), name.split("/")[-1] != "loss")
        for name, value in row.items()
        if not any(np.any(row[flag] > 0) for flag in idle_flags(name) if flag in row)
    }
    told = min(ranks, key=lambda name: ranks[name])
    return told if ranks[told] < (True, True) else None
