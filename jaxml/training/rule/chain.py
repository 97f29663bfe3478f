# SPDX-License-Identifier: Apache-2.0
"""Rules in sequence: one after another, several times, or now and then."""

import jax
import jax.numpy as jnp

from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, State


def chain(**rules: Rule) -> Rule:
    """Apply the rules in the given order to one batch.

    States are filed under the names, metrics under `name/metric`; rule number i draws from
    `fold_in(key, i)`, so adding a rule at the end does not change what the others draw.

    Raises:
      ValueError: if no rule is given.
    """
    if not rules:
        raise ValueError("chain: expected at least one rule, got none")

    def init(model: Model, key: Key) -> State:
        keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(rules)}
        return {name: rule.init(model, keys[name]) for name, rule in rules.items()}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        state, metrics = dict(state), {}
        for i, (name, rule) in enumerate(rules.items()):
            model, state[name], new = rule.update(
                model, state[name], batch, jax.random.fold_in(key, i)
            )
            metrics |= {f"{name}/{metric}": value for metric, value in new.items()}
        return model, state, metrics

    return Rule(init, update)


def repeat(rule: Rule, times: int, *, minibatches: bool = False) -> Rule:
    """Apply the rule `times` times under `lax.scan`, each time with a fresh key.

    Args:
      rule: what is repeated; its metrics are averaged over the repetitions.
      times: how often.
      minibatches: whether the batch's leading axis, of length `times`, counts minibatches to be
        consumed one a repetition (the critic's fresh data); otherwise all see the same batch.

    Raises:
      ValueError: if `times` < 1, or, when traced, if a leading axis is not `times` long.
    """
    if times < 1:
        raise ValueError(f"repeat: times must be at least 1, got {times}")

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        def once(carry, turn):
            (model, state), (i, part) = carry, turn
            part = part if minibatches else batch
            model, state, metrics = rule.update(model, state, part, jax.random.fold_in(key, i))
            return (model, state), metrics

        for leaf in jax.tree.leaves(batch) if minibatches else ():
            if leaf.shape[:1] != (times,):
                raise ValueError(
                    f"repeat: expected a leading axis of {times} minibatches, got {leaf.shape}"
                )
        turns = (jnp.arange(times), batch if minibatches else None)
        (model, state), metrics = jax.lax.scan(once, (model, state), turns)
        return model, state, {name: value.mean(axis=0) for name, value in metrics.items()}

    return Rule(rule.init, update)


def every(rule: Rule, period: int) -> Rule:
    """Apply the rule on the first step and on every `period`-th after it.

    An idle step leaves model and state alone and reports NaN for every metric, never a false 0,
    beside `idle` = 1. Counts and flags become real numbers, or NaN would not be among them.

    Raises:
      ValueError: if `period` < 1.
    """
    if period < 1:
        raise ValueError(f"every: period must be at least 1, got {period}")

    def init(model: Model, key: Key) -> State:
        return {"count": jnp.zeros((), jnp.int32), "rule": rule.init(model, key)}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        def run(model, inner):
            model, inner, metrics = rule.update(model, inner, batch, key)
            return model, inner, {name: _real(value) for name, value in metrics.items()}

        def idle(model, inner):
            metrics = jax.eval_shape(run, model, inner)[2]
            return (
                model,
                inner,
                {k: jnp.full(m.shape, jnp.nan, m.dtype) for k, m in metrics.items()},
            )

        due = state["count"] == 0
        model, inner, metrics = jax.lax.cond(due, run, idle, model, state["rule"])
        count = (state["count"] + 1) % period
        return (
            model,
            {"count": count, "rule": inner},
            {**metrics, "idle": (~due).astype(jnp.float32)},
        )

    return Rule(init, update)


def _real(value: Array) -> Array:
    return value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(float)
