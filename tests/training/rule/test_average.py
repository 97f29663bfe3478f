# SPDX-License-Identifier: Apache-2.0
"""Laws of the exponential moving average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training import average


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(0)


def run(rule, start, target, steps):
    """The average after `steps` updates during which the model stands at `target`."""
    state = rule.init(start, key())

    def step(state, _):
        return rule.update(target, state, None, key())[1], None

    return jax.lax.scan(step, state, None, length=steps)[0]["model"]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_average_moves_even_when_the_weights_are_bfloat16(dtype):
    """From 1 towards 2: 2 − 0.999¹⁰⁰⁰ = 1.632305; in pure bfloat16 it would stay at 1."""
    start = {"w": jnp.ones(3, dtype), "count": jnp.array(1)}
    target = {"w": jnp.full(3, 2.0, dtype), "count": jnp.array(5)}
    mean = run(average(0.999), start, target, 1000)
    assert mean["w"].dtype == jnp.float32
    np.testing.assert_allclose(mean["w"], 1.632305, atol=1e-3)
    assert int(mean["count"]) == 5


def test_the_average_follows_its_closed_form(x64):
    """θ̄_k = θ + d^k (θ₀ − θ) exactly in float64."""
    mean = run(average(0.9), jnp.array(1.0), jnp.array(-3.0), 37)
    np.testing.assert_allclose(mean, -3 + 0.9**37 * 4, rtol=1e-13)


def test_a_schedule_of_decays_is_a_function_of_the_count():
    """With d_t = t/(t+1) the average is the arithmetic mean of what it has seen."""
    rule = average(lambda t: t.astype(jnp.float32) / (t.astype(jnp.float32) + 1))
    state = rule.init(jnp.array(100.0), key())
    seen = jnp.array([1.0, 4.0, -2.0, 8.0])
    for value in seen:
        model, state, metrics = rule.update(value, state, None, key())
        assert model == value
        assert metrics == {}
    np.testing.assert_allclose(state["model"], seen.mean(), rtol=1e-6)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_outside_the_unit_interval_is_refused(decay):
    """d = 1 would never move, d > 1 diverges."""
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\)"):
        average(decay)
