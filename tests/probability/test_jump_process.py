# SPDX-License-Identifier: Apache-2.0
"""Processes in continuous time whose laws are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import jump_process, markov_chain

Q = np.array([[-1.5, 1.0, 0.5], [0.2, -0.2, 0.0], [0.0, 3.0, -3.0]])
N = 20_000


def draws(n, initial=(1.0, 0.0, 0.0)):
    keys = jax.random.split(jax.random.key(0), N)
    log_initial = jnp.log(jnp.asarray(initial))
    make = jax.vmap(lambda key: jump_process.sample(log_initial, jnp.asarray(Q, "f4"), key, n))
    return jax.jit(make)(keys)


def test_jumps_and_generators_are_one_thing(x64):
    rates, chain = jump_process.jumps(jnp.asarray(Q))
    np.testing.assert_allclose(rates, [1.5, 0.2, 3.0])
    assert not np.diag(chain).any()
    np.testing.assert_allclose(jump_process.generator(rates, chain), Q, atol=1e-15)
    rates, chain = jump_process.jumps(jnp.asarray([[0.0, 0.0], [1.0, -1.0]]))
    np.testing.assert_array_equal(rates, [0, 1])
    np.testing.assert_array_equal(chain, [[1, 0], [1, 0]])


def test_two_states_forget_exponentially(x64):
    """P_00(t) = (μ + λe^{−(λ+μ)t})/(λ+μ); P(s)P(t) = P(s + t); P' = QP; π stays."""
    up, down, t = 0.7, 0.4, 1.3
    two = jnp.asarray([[-up, up], [down, -down]])
    found = jump_process.transition(two, jnp.asarray(t))
    stays = (down + up * np.exp(-(up + down) * t)) / (up + down)
    np.testing.assert_allclose(found[0], [stays, 1 - stays], rtol=1e-13)
    q, s = jnp.asarray(Q), jnp.asarray(0.4)
    whole = jump_process.transition(q, s + t)
    parts = jump_process.transition(q, s) @ jump_process.transition(q, jnp.asarray(t))
    np.testing.assert_allclose(whole, parts, rtol=1e-12)
    value, slope = jax.jvp(lambda t: jump_process.transition(q, t), (s,), (jnp.ones(()),))
    np.testing.assert_allclose(slope, q @ value, atol=1e-12)
    law = markov_chain.stationary(q)
    np.testing.assert_allclose(law @ q, 0, atol=1e-15)
    np.testing.assert_allclose(law @ whole, law, rtol=1e-12)


def test_draws_are_where_the_matrix_says():
    """States at two times in 20,000 draws: χ² against e^{tQ}; holding times are exponential."""
    found = draws(40)
    for t in (0.5, 2.0):
        states = jax.vmap(lambda one, t=t: jump_process.state_at(one, jnp.asarray(t)))(found)
        law = np.asarray(jump_process.transition(jnp.asarray(Q, "f4"), jnp.asarray(t)))[0]
        seen = np.bincount(np.asarray(states), minlength=3)
        assert ((seen - N * law) ** 2 / (N * law)).sum() < stats.chi2.isf(1e-4, 2)
    assert np.asarray(found.times[:, -1]).min() > 2
    assert stats.kstest(np.asarray(found.times[:, 1]), "expon", (0, 1 / 1.5)).pvalue > 1e-4


def test_a_state_that_is_never_left():
    """Its next jump is at ∞ and leads nowhere."""
    end = jnp.asarray([[-1.0, 1.0], [0.0, 0.0]])
    found = jump_process.sample(jnp.log(jnp.asarray([1.0, 0.0])), end, jax.random.key(0), 4)
    np.testing.assert_array_equal(found.states, [0, 1, 1, 1])
    np.testing.assert_array_equal(np.isinf(found.times), [False, False, True, True])
    assert jump_process.state_at(found, jnp.asarray([0.0, 1e9])).tolist() == [0, 1]


def test_the_density_of_a_trajectory(x64):
    """By hand; and the mean of its slope in Q is 0 under its own law (the score has no bias)."""
    q = jnp.asarray(Q)
    seen = jump_process.Trajectory(jnp.asarray([0, 2, 1]), jnp.asarray([0.0, 0.4, 0.5]))
    initial = jnp.log(jnp.asarray([0.5, 0.25, 0.25]))
    found = jump_process.log_prob(seen, jnp.asarray(2.0), initial, q)
    expected = np.log(0.5) + np.log(0.5) - 1.5 * 0.4 + np.log(3.0) - 3 * 0.1 - 0.2 * 1.5
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    with pytest.raises(ValueError, match="n: expected at least 1"):
        jump_process.sample(initial, q, jax.random.key(0), 0)


def test_rates_are_found_again():
    """Jumps over time spent, the maximum of the density, within 4.5 standard errors."""
    found = draws(30)
    states, times = np.asarray(found.states), np.asarray(found.times)
    waits, left = np.diff(times), states[:, :-1]
    for i in range(3):
        spent = waits[left == i]
        rate = len(spent) / spent.sum()
        assert abs(rate + Q[i, i]) < 4.5 * rate / np.sqrt(len(spent))
