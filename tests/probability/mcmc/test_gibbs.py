# SPDX-License-Identifier: Apache-2.0
"""Gibbs sampling on all states of three small variables, where the kernels are matrices."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability.mcmc import gibbs

SIZES = (2, 2, 2)
STATES = np.array(list(itertools.product(*(range(k) for k in SIZES))))
VALUES = np.arange(2)
TABLE = np.random.default_rng(0).normal(size=SIZES) * 1.5
PI = np.exp(TABLE).ravel() / np.exp(TABLE).sum()


def log_prob(x):
    return jnp.asarray(TABLE)[tuple(x)]


def parts():
    """The matrix of each coordinate's draw, by the conditional that is implemented."""
    found = []
    for i in range(3):
        log_p = jax.vmap(lambda x, i=i: gibbs.conditional(log_prob, x, i, jnp.asarray(VALUES)))(
            jnp.asarray(STATES)
        )
        others = np.delete(STATES, i, axis=1)
        same = (others[:, None] == others[None]).all(-1)
        found.append(same * np.exp(np.asarray(log_p))[:, STATES[:, i]])
    return found


def test_each_part_balances_and_a_sweep_keeps_the_target(x64):
    """One part at random: π_i P_ij = π_j P_ji. A sweep: πP = π only."""
    for P in (*parts(), sum(parts()) / 3):
        np.testing.assert_allclose(P.sum(1), 1, atol=1e-12)
        np.testing.assert_allclose(PI[:, None] * P, (PI[:, None] * P).T, atol=1e-12)
    a, b, c = parts()
    P = a @ b @ c
    np.testing.assert_allclose(PI @ P, PI, atol=1e-12)
    assert np.abs(PI[:, None] * P - (PI[:, None] * P).T).max() > 1e-3


def test_draws_have_the_probabilities_of_the_matrices(x64):
    """30,000 steps from each of eight states, every frequency within 4.5 standard errors."""
    n, (a, b, c) = 30_000, parts()
    draws = [gibbs.coordinate(log_prob, i, jnp.asarray(VALUES)) for i in range(3)]

    @jax.jit
    def frequencies(key):
        begin = jnp.repeat(jnp.asarray(STATES), n, axis=0)
        found = []
        ways = zip((gibbs.sweep, gibbs.at_random), jax.random.split(key), strict=True)
        for way, way_key in ways:
            end = jax.vmap(lambda x, k, way=way: way(draws, x, k))(
                begin, jax.random.split(way_key, len(begin))
            )
            codes = (end @ jnp.asarray([4, 2, 1])).reshape(8, n)
            found.append(jax.vmap(lambda e: jnp.bincount(e, length=8))(codes) / n)
        return found

    for found, P in zip(frequencies(jax.random.key(0)), (a @ b @ c, (a + b + c) / 3), strict=True):
        assert (np.abs(found - P) < 4.5 * np.sqrt(P * (1 - P) / n) + 1e-12).all()


def test_at_least_one_part():
    for way in (gibbs.sweep, gibbs.at_random):
        with pytest.raises(ValueError, match="draws: expected at least one"):
            way([], jnp.zeros(2), jax.random.key(0))
