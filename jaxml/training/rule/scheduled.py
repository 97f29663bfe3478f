# SPDX-License-Identifier: Apache-2.0
"""Settings of a rule that change as it learns, such as the weight of a penalty."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxml.types import Array, Batch, Key, Metrics, Model, Rule, State


def scheduled(rule: Callable[[Any], Rule], value: Callable[[Array], Any]) -> Rule:
    """The rule of value(0), then that of value(1), and so on.

        scheduled(
            lambda w: descend(partial(gan.critic_loss, penalty=zero_centred(w, w)), optimizer),
            schedule.exponential(0.1, 0.999),
        )

    A learning rate has its schedule in the optimizer; this is for what a loss is made of.

    Args:
      rule: `value -> rule`, traced: the value may be where an array may. The state must not depend
        on it.
      value: of the number of steps that the rule has made, an int32.

    Returns:
      A rule with the metrics of those; its state is `{"count", "rule"}`.
    """

    def init(model: Model, key: Key) -> State:
        count = jnp.zeros((), jnp.int32)
        return {"count": count, "rule": rule(value(count)).init(model, key)}

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        now = rule(value(state["count"]))
        model, inner, metrics = now.update(model, state["rule"], batch, key)
        return model, {"count": state["count"] + 1, "rule": inner}, metrics

    return Rule(init, update)
