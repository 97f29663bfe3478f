# SPDX-License-Identifier: Apache-2.0
"""The best model so far by a validation loss, as a rule that looks and remembers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxml.optimizers import early_stopping
from jaxml.types import Batch, Key, Metrics, Model, Rule, Scalar, State


def keep_best(
    rule: Rule,
    score: Callable[[Model], Scalar],
    period: int,
    *,
    watched: Callable[[Model, State], Model] = lambda model, state: model,
) -> Rule:
    """θ* ← θ where score(θ) is the least so far, looked at after every `period` updates.

    Early stopping without a stop: the length of a run is fixed, and what is evaluated is the model
    at its best, `state["best"]`. The metric `best` is its score; the first model is looked at too.

    Args:
      rule: what learns; its state is `state["rule"]`.
      score: the loss of a model on validation data; smaller is better, NaN never is.
      period: updates between looks.
      watched: which model is looked at, of the model and the state of `rule`: an average, say.

    Raises:
      ValueError: if the period is below 1.

    Reference: Prechelt 1998, Early stopping - but when?, section 1.2.
    """
    if period < 1:
        raise ValueError(f"keep_best: expected a period of at least 1, got {period}")

    def init(model: Model, key: Key) -> State:
        inner = rule.init(model, key)
        first = watched(model, inner)
        best = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), first)
        return {
            "rule": inner,
            "best": best,
            "patience": _looked(early_stopping.start(), score(first)),
            "updates": jnp.zeros((), jnp.int32),
        }

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        model, inner, metrics = rule.update(model, state["rule"], batch, key)
        now, updates = watched(model, inner), state["updates"] + 1

        def look(best: Model, patience: early_stopping.Patience) -> tuple:
            after = _looked(patience, score(now))
            better = after.best < patience.best
            return jax.tree.map(lambda a, b: jnp.where(better, a, b), now, best), after

        best, patience = jax.lax.cond(
            updates % period == 0, look, lambda *same: same, state["best"], state["patience"]
        )
        state = {"rule": inner, "best": best, "patience": patience, "updates": updates}
        return model, state, metrics | {"best": patience.best}

    return Rule(init, update)


def _looked(patience: early_stopping.Patience, value: Scalar) -> early_stopping.Patience:
    return early_stopping.look(patience, value.astype(patience.best.dtype))
