# SPDX-License-Identifier: Apache-2.0
"""A guard against NaN and infinity: a bad update is never applied."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, State


def stop(skipped: Array) -> Array:
    """Policy: halt at the first bad update."""
    return skipped >= 1


def skip(skipped: Array) -> Array:
    """Policy: leave bad updates out, count them, and go on for ever."""
    return jnp.zeros_like(skipped, bool)


def guard(rule: Rule, policy: Callable[[Array], Array] = stop) -> Rule:
    """Keep model and state bitwise as they were when an update turns anything non-finite.

    An update is bad when a metric, a leaf of the new model or a leaf of the new state is NaN or
    infinite; metrics of idle steps (`every`) are exempt.

    Put it outermost, `guard(chain(learn=..., average=...))`: what stands outside still moves at a
    bad step. An average would be drawn once more towards a model that has not changed, and the
    state at which the loop stops would not be the state before the bad step.

    Args:
      rule: what is guarded.
      policy: `skipped -> bool`, the number of updates left out so far to whether to halt: `stop`,
        `skip`, or one's own (`lambda skipped: skipped > 10`). The training loop ends at the step
        where it becomes true.

    Returns:
      A rule that adds the metrics `skipped` (a count), `stopped` (0 or 1) and `bad_leaf`, the
      index into `leaf_names` of the first bad leaf (-1 if there is none). Its state is
      `{"rule", "skipped"}`; an update that stops is not counted there, so that all of the state is
      what it was before and the step can be run again.
    """

    def init(model: Model, key: Key) -> State:
        return {"rule": rule.init(model, key), "skipped": jnp.zeros((), jnp.int32)}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        old = (model, state["rule"])
        *new, metrics = rule.update(*old, batch, key)
        new = tuple(new)
        bad_leaf = first_bad_leaf(new)
        bad = (bad_leaf >= 0) | ~_sound(metrics)
        # A branch is what XLA cannot fuse: without it every choice is compiled with a copy of
        # the verdict on all leaves, and a U-Net in a loop takes a minute to compile, not 15 s.
        bad = jax.lax.cond(bad, lambda: True, lambda: False)
        model, inner = jax.tree.map(lambda kept, fresh: jnp.where(bad, kept, fresh), old, new)
        skipped = state["skipped"] + bad.astype(jnp.int32)
        stopped = bad & policy(skipped)
        metrics |= {"skipped": skipped, "stopped": stopped, "bad_leaf": bad_leaf}
        count = jnp.where(stopped, state["skipped"], skipped)
        return model, {"rule": inner, "skipped": count}, metrics

    return Rule(init, update)


def first_bad_leaf(tree) -> Array:
    """The index, among the leaves, of the first that holds NaN or infinity; -1 if none does."""
    leaves = jax.tree.leaves(tree)
    bad = jnp.stack([~_finite(leaf) for leaf in leaves])
    return jnp.where(bad.any(), jnp.argmax(bad), -1)


def leaf_names(model: Model, state: State) -> list[str]:
    """The names to which `bad_leaf` points, for the rule inside the guard."""
    tree = {"model": model, "state": state}
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(tree)
    ]


def idle_flags(name: str) -> list[str]:
    """The metrics, if there are such, by which an idle rule excuses the NaN that `name` reports."""
    parts = name.split("/")
    return ["/".join([*parts[:i], "idle"]) for i in range(len(parts))]


def _finite(leaf: Array) -> Array:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.array(True)
    return jnp.isfinite(leaf).all()


def _sound(metrics: Metrics) -> Array:
    """Whether every metric is finite, but for those whose rule was idle."""

    def idle(name: str) -> Array:
        flags = [metrics[flag] > 0 for flag in idle_flags(name) if flag in metrics]
        return jnp.any(jnp.stack([jnp.array(False), *flags]))

    sound = [_finite(value) | idle(name) for name, value in metrics.items()]
    return jnp.stack([jnp.array(True), *sound]).all()
