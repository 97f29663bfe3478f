# SPDX-License-Identifier: Apache-2.0
"""Two players in turns: what an adversarial pair of losses is trained by."""

import jax

from jaxml.training.rule.chain import chain, repeat
from jaxml.types import Batch, Key, Metrics, Model, Rule, State


def take_turns(n: int, **rules: Rule) -> Rule:
    """The first rule n times, each time on a fresh n-th of the batch, then the second one once.

    The second rule sees the last n-th. Names and keys are those of `chain`, so that the metrics of
    `take_turns(5, critic=..., generator=...)` are `critic/loss`, `generator/loss` and so on.

    Args:
      n: how often the first rule learns for once that the second does.
      rules: two rules by name, in this order.

    Raises:
      ValueError: unless there are two rules and n is at least 1; when traced, if n does not divide
        the batch.
    """
    if len(rules) != 2 or n < 1:
        raise ValueError(f"take_turns: expected n >= 1 and two rules, got {n} and {len(rules)}")
    (first, often), (second, once) = rules.items()

    def on_the_last(model: Model, state: State, batch: Batch, key: Key):
        return once.update(model, state, jax.tree.map(lambda a: a[-1], batch), key)

    rule = chain(
        **{first: repeat(often, n, minibatches=True), second: Rule(once.init, on_the_last)}
    )

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        return rule.update(model, state, jax.tree.map(lambda a: _cut(a, n), batch), key)

    return Rule(rule.init, update)


def _cut(a: jax.Array, n: int) -> jax.Array:
    if a.shape[0] % n:
        raise ValueError(
            f"take_turns: expected a batch that {n} divides, got {a.shape[0]} examples"
        )
    return a.reshape(n, a.shape[0] // n, *a.shape[1:])
