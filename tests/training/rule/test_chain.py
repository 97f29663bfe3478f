# SPDX-License-Identifier: Apache-2.0
"""Laws of rules in sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training import chain, every, repeat
from jaxml.types import Rule


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(7)


def affine(scale, shift):
    """model ← scale · model + shift + batch: composition order is visible in the result."""

    def update(model, state, batch, key):
        model = scale * model + shift + batch
        return model, state + 1, {"draw": jax.random.uniform(key), "model": model}

    return Rule(lambda model, key: jnp.zeros((), jnp.int32), update)


def test_a_chain_applies_its_rules_in_order_and_files_by_name():
    """chain(a, b) = b ∘ a, with states and metrics under the given names."""
    rule = chain(a=affine(2.0, 1.0), b=affine(3.0, 5.0))
    model = jnp.array(1.0)
    model, state, metrics = rule.update(model, rule.init(model, key()), jnp.array(0.25), key())
    np.testing.assert_allclose(model, 3 * (2 * 1 + 1 + 0.25) + 5 + 0.25)
    assert set(metrics) == {"a/draw", "a/model", "b/draw", "b/model"}
    assert (int(state["a"]), int(state["b"])) == (1, 1)
    np.testing.assert_allclose(metrics["a/model"], 3.25)


def test_parts_of_a_chain_draw_independently_of_what_follows():
    """Part i uses fold_in(key, i), so appending a part leaves the others' draws alone."""
    model = jnp.array(0.0)
    short = chain(a=affine(1.0, 0.0))
    long = chain(a=affine(1.0, 0.0), b=affine(1.0, 0.0))
    one = short.update(model, short.init(model, key()), model, key())[2]
    two = long.update(model, long.init(model, key()), model, key())[2]
    assert one["a/draw"] == two["a/draw"] == jax.random.uniform(jax.random.fold_in(key(), 0))
    assert two["b/draw"] == jax.random.uniform(jax.random.fold_in(key(), 1))


def test_repeat_is_the_loop_it_replaces():
    """times steps with fold_in(key, i), metrics averaged."""
    rule = repeat(affine(2.0, 1.0), 3)
    model, state, metrics = rule.update(
        jnp.array(1.0), rule.init(jnp.array(1.0), key()), jnp.array(0.5), key()
    )
    expected, seen = 1.0, []
    for _ in range(3):
        expected = 2 * expected + 1.5
        seen.append(expected)
    draws = [jax.random.uniform(jax.random.fold_in(key(), i)) for i in range(3)]
    np.testing.assert_allclose(model, expected)
    np.testing.assert_allclose(metrics["model"], np.mean(seen))
    np.testing.assert_allclose(metrics["draw"], np.mean(draws), rtol=1e-6)
    assert int(state) == 3


def test_repeat_consumes_a_fresh_minibatch_each_time():
    """With `minibatches` the leading axis is walked in order."""
    rule = repeat(affine(10.0, 0.0), 3, minibatches=True)
    model = jnp.array(0.0)
    model, _, _ = rule.update(model, rule.init(model, key()), jnp.array([1.0, 2.0, 3.0]), key())
    np.testing.assert_allclose(model, 123.0)
    with pytest.raises(ValueError, match="leading axis of 3 minibatches"):
        rule.update(model, jnp.zeros((), jnp.int32), jnp.ones(2), key())


def test_every_acts_on_the_first_step_and_each_period_after():
    """Idle steps change nothing and report NaN, never a false 0."""
    rule = every(affine(1.0, 1.0), 3)
    model = jnp.array(0.0)
    state = rule.init(model, key())
    acted = []
    for _ in range(7):
        before = model
        model, state, metrics = jax.jit(rule.update)(model, state, jnp.array(0.0), key())
        acted.append(bool(model != before))
        assert bool(metrics["idle"]) != acted[-1]
        assert bool(jnp.isnan(metrics["model"])) != acted[-1]
    assert acted == [True, False, False, True, False, False, True]
    assert int(state["rule"]) == 3


def test_idle_counts_and_flags_are_nan_too():
    """An integer has no NaN: −2³¹ and a flag that counts as raised would be false values."""

    def update(model, state, batch, key):
        return model, state, {"count": jnp.int32(7), "flag": jnp.array(False)}

    rule = every(Rule(lambda model, key: {}, update), 2)
    state = rule.init(None, key())
    for count, flag in [(7, 0), (np.nan, np.nan)]:
        _, state, metrics = rule.update(None, state, None, key())
        np.testing.assert_array_equal(metrics["count"], count)
        np.testing.assert_array_equal(metrics["flag"], flag)


def test_counts_are_refused_below_one():
    """Each combinator names its own argument."""
    with pytest.raises(ValueError, match="at least one rule"):
        chain()
    with pytest.raises(ValueError, match="times must be at least 1"):
        repeat(affine(1.0, 0.0), 0)
    with pytest.raises(ValueError, match="period must be at least 1"):
        every(affine(1.0, 0.0), 0)
