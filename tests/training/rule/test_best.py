# SPDX-License-Identifier: Apache-2.0
"""The best model so far, against a list in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training import average, chain, keep_best
from jaxml.types import Rule

SCORES = np.array([4.5, 5.0, 4.0, np.nan, 6.0, 2.0, 1.0, 3.0, 7.0, 0.5])


def walk():
    """The model is the number of updates so far."""
    return Rule(
        lambda model, key: {}, lambda model, state, batch, key: (model + 1, state, {"at": model})
    )


@pytest.mark.parametrize("period", [1, 2, 4])
def test_the_best_of_the_looks_is_kept(period):
    """Of the first and every period-th model, the first with the least score, never NaN."""
    table = jnp.asarray(SCORES, jnp.float32)
    rule = keep_best(walk(), lambda model: table[model.astype(jnp.int32)], period)

    @jax.jit
    def run():
        start = jnp.zeros(())

        def step(carry, _):
            model, state, metrics = rule.update(*carry, None, jax.random.key(0))
            return (model, state), (state["best"], metrics["best"], metrics["at"])

        carry = start, rule.init(start, jax.random.key(0))
        return jax.lax.scan(step, carry, None, length=len(SCORES) - 1)[1]

    best, told, at = run()
    found, least = 0, SCORES[0]
    for i in range(1, len(SCORES)):
        if i % period == 0 and SCORES[i] < least:
            found, least = i, SCORES[i]
        assert (best[i - 1], told[i - 1]) == (found, least)
    np.testing.assert_array_equal(at, np.arange(len(SCORES) - 1))


def test_what_is_watched_may_be_an_average():
    """The state of the rule is at hand, and what is kept has its shape."""
    inner = chain(learn=walk(), average=average(0.5))
    rule = keep_best(
        inner, lambda mean: -mean, 1, watched=lambda model, state: state["average"]["model"]
    )
    state = rule.init(jnp.zeros(()), jax.random.key(0))
    model, state, metrics = jax.jit(lambda m, s: rule.update(m, s, None, jax.random.key(1)))(
        jnp.zeros(()), state
    )
    assert (model, state["best"], metrics["best"]) == (1.0, 0.5, -0.5)
    assert state["rule"]["average"]["count"] == 1


def test_a_period_is_at_least_one():
    with pytest.raises(ValueError, match="keep_best: expected a period of at least 1, got 0"):
        keep_best(walk(), lambda model: model, 0)
