# SPDX-License-Identifier: Apache-2.0
"""Several models, each under a rule of its own, in one compiled step."""

import jax

from jaxml.types import Batch, Key, Metrics, Model, Rule, State


def side_by_side(**rules: Rule) -> Rule:
    """Train `{"a": model_a, "b": model_b}`, each model by the rule of its name, on one batch.

    States are filed under the names, metrics under `name/metric`; rule number i draws from
    `fold_in(key, i)`. No model knows of another: each follows the path that it would follow alone.

    Raises:
      ValueError: if no rule is given, or, at `init`, if the names of the models are others.
    """
    if not rules:
        raise ValueError("side_by_side: expected at least one rule, got none")

    def init(model: Model, key: Key) -> State:
        if not isinstance(model, dict) or set(model) != set(rules):
            found = sorted(model) if isinstance(model, dict) else type(model).__name__
            raise ValueError(f"model: expected a dict of {sorted(rules)}, got {found}")
        return {
            name: rule.init(model[name], jax.random.fold_in(key, i))
            for i, (name, rule) in enumerate(rules.items())
        }

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        models, states, metrics = {}, {}, {}
        for i, (name, rule) in enumerate(rules.items()):
            models[name], states[name], new = rule.update(
                model[name], state[name], batch, jax.random.fold_in(key, i)
            )
            metrics |= {f"{name}/{metric}": value for metric, value in new.items()}
        return models, states, metrics

    return Rule(init, update)
