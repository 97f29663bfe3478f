# SPDX-License-Identifier: Apache-2.0
"""Two players in turns: who sees which part of the batch, how often, and with which key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training import chain, repeat, take_turns
from jaxml.types import Rule


def adding(name):
    """Adds the mean of the batch to one number of the model, and reports a draw of its key."""

    def update(model, state, batch, key):
        model = model | {name: model[name] + jnp.mean(batch)}
        return model, state + 1, {"sum": model[name], "draw": jax.random.uniform(key)}

    return Rule(lambda model, key: jnp.zeros((), jnp.int32), update)


def start():
    return {"often": jnp.zeros(()), "once": jnp.zeros(())}


BATCH = jnp.asarray([1.0, 3.0, 10.0, 30.0, 100.0, 300.0])


def test_the_first_sees_all_parts_and_the_second_the_last():
    rule = take_turns(3, a=adding("often"), b=adding("once"))
    state = rule.init(start(), jax.random.key(0))
    model, state, metrics = jax.jit(rule.update)(start(), state, BATCH, jax.random.key(1))
    assert model == {"often": 222.0, "once": 200.0}
    assert state == {"a": 3, "b": 1}
    np.testing.assert_allclose(metrics["a/sum"], (2 + 22 + 222) / 3, rtol=1e-6)
    assert metrics["b/sum"] == 200


def test_keys_are_those_of_a_chain():
    """The same draws as those of `chain(a=repeat(...), b=...)`."""
    rules = {"a": adding("often"), "b": adding("once")}
    turns = take_turns(2, **rules)
    plain = chain(a=repeat(rules["a"], 2), b=rules["b"])
    found = [
        rule.update(start(), rule.init(start(), jax.random.key(0)), BATCH, jax.random.key(1))[2]
        for rule in (turns, plain)
    ]
    for name in ("a/draw", "b/draw"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-6)


def test_what_does_not_fit_is_refused():
    rule = adding("often")
    with pytest.raises(ValueError, match="take_turns"):
        take_turns(0, a=rule, b=rule)
    with pytest.raises(ValueError, match="take_turns"):
        take_turns(1, a=rule)
    four = take_turns(4, a=rule, b=adding("once"))
    with pytest.raises(ValueError, match="divides"):
        four.update(start(), four.init(start(), jax.random.key(0)), BATCH, jax.random.key(1))
