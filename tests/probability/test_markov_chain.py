# SPDX-License-Identifier: Apache-2.0
"""Markov chains whose laws are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import markov_chain

TWO = np.array([[0.9, 0.1], [0.3, 0.7]])


def walk(up, down):
    """A birth and death chain, and its stationary law, a product of ratios."""
    k = len(up) + 1
    P = np.zeros((k, k))
    for i, (a, b) in enumerate(zip(up, down, strict=True)):
        P[i, i + 1], P[i + 1, i] = a, b
    weight = np.cumprod(np.concatenate([[1.0], np.asarray(up) / down]))
    return P + np.diag(1 - P.sum(1)), weight / weight.sum()


def test_two_states(x64):
    """π = (3/4, 1/4), H = 0.396528 nats, and Pⁿ by its second eigenvalue 0.6."""
    P = jnp.asarray(TWO)
    np.testing.assert_allclose(markov_chain.stationary(P), [0.75, 0.25], rtol=1e-14)
    np.testing.assert_allclose(markov_chain.entropy_rate(P), 0.396528, atol=1e-6)
    gap = 0.6**7 * np.array([[0.25, -0.25], [-0.75, 0.75]])
    np.testing.assert_allclose(markov_chain.n_step(P, 7), [[0.75, 0.25]] * 2 + gap, rtol=1e-13)
    np.testing.assert_array_equal(markov_chain.n_step(P, 0), np.eye(2))
    with pytest.raises(ValueError, match="n: expected at least 0"):
        markov_chain.n_step(P, -1)


def test_stationary_laws_keep_their_digits(x64):
    """A chain whose parts are joined by steps of 1e-14: 12 digits of every probability."""
    P, expected = walk([0.3, 1e-14, 0.2, 1e-12], [0.1, 3e-14, 0.4, 1e-3])
    np.testing.assert_allclose(markov_chain.stationary(jnp.asarray(P)), expected, rtol=1e-12)


def test_stationary_law_of_any_chain_and_its_slope(x64):
    """πP = π for 20 random chains; the derivative is that of differences."""
    P = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(6), size=(20, 6)))
    found = jax.jit(jax.vmap(markov_chain.stationary))(P)
    np.testing.assert_allclose(jnp.einsum("ni,nij->nj", found, P), found, rtol=1e-13)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-14)
    way = np.random.default_rng(1).normal(size=(6, 6))
    _, slope = jax.jvp(markov_chain.stationary, (P[0],), (jnp.asarray(way),))
    h = 1e-6
    high, low = (markov_chain.stationary(P[0] + s * h * way) for s in (1, -1))
    np.testing.assert_allclose(slope, (high - low) / (2 * h), atol=1e-7)


def test_reversible_chains_and_others(x64):
    """Birth and death is in detailed balance; a cycle goes round the other way."""
    P, _ = walk([0.3, 0.2, 0.5], [0.1, 0.4, 0.25])
    assert markov_chain.imbalance(jnp.asarray(P)) < 1e-15
    np.testing.assert_allclose(markov_chain.backwards(jnp.asarray(P)), P, atol=1e-14)
    cycle = jnp.asarray(np.roll(np.eye(3), 1, axis=1) * 0.9 + np.eye(3) * 0.1)
    np.testing.assert_allclose(markov_chain.backwards(cycle), cycle.T, atol=1e-15)
    np.testing.assert_allclose(markov_chain.imbalance(cycle), 0.3, rtol=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.4])
def test_the_gamblers_ruin(p, x64):
    """From i of 10: the chance of all and the expected time have closed forms."""
    n = 10
    P, _ = walk([p] * n, [1 - p] * n)
    absorbing = jnp.arange(n + 1) % n == 0
    found = markov_chain.absorption(jnp.asarray(P), absorbing)
    i, ratio = np.arange(n + 1), (1 - p) / p
    wins = i / n if p == 0.5 else (1 - ratio**i) / (1 - ratio**n)
    steps = i * (n - i) if p == 0.5 else (i - n * wins) / (1 - 2 * p)
    np.testing.assert_allclose(found.probability[:, n], wins, atol=1e-12)
    np.testing.assert_allclose(found.probability[:, 0], 1 - wins, atol=1e-12)
    np.testing.assert_allclose(found.steps, steps, atol=1e-10)
    assert not np.asarray(found.probability[:, 1:n]).any()


def test_paths_have_the_frequencies_of_their_law():
    """20,000 paths of 4: χ² of all 16 against `log_prob`; counts and their shares."""
    initial, P = jnp.log(jnp.asarray([0.2, 0.8])), jnp.log(jnp.asarray(TWO, jnp.float32))
    keys = jax.random.split(jax.random.key(0), 20_000)
    paths = jax.jit(jax.vmap(lambda key: markov_chain.sample(initial, P, key, 4)))(keys)
    every = jnp.asarray([[i >> s & 1 for s in (3, 2, 1, 0)] for i in range(16)])
    law = jax.vmap(lambda path: markov_chain.log_prob(path, initial, P))(every)
    np.testing.assert_allclose(jnp.exp(law).sum(), 1, rtol=1e-6)
    seen = np.bincount(np.asarray(paths) @ [8, 4, 2, 1], minlength=16)
    expected = 20_000 * np.exp(np.asarray(law))
    assert ((seen - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-4, 15)
    np.testing.assert_array_equal(
        markov_chain.counts(jnp.asarray([0, 1, 1, 0, 1]), 2), [[0, 2], [1, 1]]
    )
    with pytest.raises(ValueError, match="n: expected at least 1"):
        markov_chain.sample(initial, P, keys[0], 0)
