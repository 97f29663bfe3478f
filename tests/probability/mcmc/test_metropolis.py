# SPDX-License-Identifier: Apache-2.0
"""Metropolis and Hastings on a few states, where the whole kernel is a matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import mcmc


def target(n, seed=0):
    """log π of n states, up to a constant, and a proposal that is far from symmetric."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) * 2, rng.dirichlet(np.ones(n), n)


def matrix(log_pi, q):
    """P of Hastings by the acceptance that is implemented."""
    log_q = jnp.log(jnp.asarray(q))
    log_p = jnp.asarray(log_pi)
    alpha = jnp.exp(
        jax.vmap(lambda i, row, column: mcmc.log_acceptance(
            jnp.broadcast_to(i, log_p.shape), log_p, column - row
        ))(log_p, log_q, log_q.T)
    )  # fmt: skip
    P = np.array(q * np.asarray(alpha))
    P[np.diag_indices(len(P))] += 1 - P.sum(1)
    return P


@pytest.mark.parametrize("n", [5, 6, 8])
def test_flows_between_states_balance_and_the_target_stays(n, x64):
    """π_i P_ij = π_j P_ji, so that πP = π, for a random asymmetric proposal."""
    log_pi, q = target(n)
    pi, P = np.exp(log_pi) / np.exp(log_pi).sum(), matrix(log_pi, q)
    flow = pi[:, None] * P
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)
    np.testing.assert_allclose(pi @ P, pi, atol=1e-12)
    assert np.abs(pi[:, None] * q - (pi[:, None] * q).T).max() > 0.01  # the proposal alone does not


def test_a_simulated_step_has_the_probabilities_of_the_matrix(x64):
    """200,000 steps from each of five states, each frequency within 4.5 standard errors."""
    log_pi, q = target(5)
    P, n = matrix(log_pi, q), 200_000
    log_p, log_q = jnp.asarray(log_pi), jnp.log(jnp.asarray(q))

    def propose(i, key):
        j = jax.random.categorical(key, log_q[i])
        return mcmc.Proposal(j, log_q[j, i] - log_q[i, j])

    def step(i, key):
        chain = mcmc.start(lambda i: log_p[i], i)
        chain, move = mcmc.metropolis_hastings(lambda i: log_p[i], chain, key, propose)
        return chain.x, move, chain.log_prob - log_p[chain.x]

    @jax.jit
    def frequencies(key):
        begin = jnp.repeat(jnp.arange(5), n)
        end, move, off = jax.vmap(step)(begin, jax.random.split(key, 5 * n))
        counts = jax.vmap(lambda e: jnp.bincount(e, length=5))(end.reshape(5, n))
        return (
            counts / n,
            move.accepted.astype(float).mean(),
            move.acceptance.mean(),
            jnp.abs(off).max(),
        )

    found, accepted, acceptance, off = frequencies(jax.random.key(0))
    error = np.sqrt(P * (1 - P) / n)
    assert (np.abs(found - P) < 4.5 * error + 1e-12).all()
    assert abs(accepted - acceptance) < 4.5 * 0.5 / np.sqrt(5 * n)
    assert off == 0  # the kept log π is that of the kept state


def test_decisions_at_the_edges():
    """α = 1 is always taken, α = 0 and NaN never, and a chain leaves a state of probability 0."""
    inf, keys = jnp.inf, jax.random.split(jax.random.key(0), 10_000)
    zero = jnp.zeros(())
    cases = [(zero, zero, 0.0), (-inf, zero, 0.0), (zero, -inf, -inf), (-inf, -inf, -inf),
             (zero, jnp.nan, -inf), (zero, -inf + zero, -inf)]  # fmt: skip
    for now, then, expected in cases:
        found = mcmc.log_acceptance(jnp.asarray(now), jnp.asarray(then), zero)
        assert found == expected, (now, then)
    taken = jax.jit(jax.vmap(mcmc.accept, (None, 0)))
    assert taken(zero, keys).all()
    assert not taken(jnp.asarray(-inf), jax.random.clone(keys)).any()
    half = np.asarray(taken(jnp.log(jnp.asarray(0.5)), jax.random.clone(keys))).mean()
    assert abs(half - 0.5) < 4.5 * 0.5 / 100


def test_a_random_walk_keeps_a_skewed_law():
    """Exact draws of Gumbel's law are still of that law after eight steps of 20,000 chains."""
    n = 20_000

    def log_prob(x):
        return jnp.sum(-x - jnp.exp(-x))

    @jax.jit
    def moved(key):
        x_key, key = jax.random.split(key)
        chains = jax.vmap(lambda x: mcmc.start(log_prob, x))(jax.random.gumbel(x_key, (n, 2)))

        def one(chain, key):
            step = lambda c, k: mcmc.random_walk(log_prob, c, k, jnp.asarray([1.0, 2.0]))  # noqa: E731
            return mcmc.walk(step, chain, key, 8)

        last, (path, moves) = jax.vmap(one)(chains, jax.random.split(key, n))
        return last.x, path.x[:, -1], moves.accepted.mean()

    x, end, accepted = moved(jax.random.key(1))
    np.testing.assert_array_equal(x, end)
    assert 0.3 < accepted < 0.8
    for column in np.asarray(x).T:
        assert scipy.stats.kstest(column, "gumbel_r").pvalue > 1e-4


def test_a_walk_keeps_every_thin_th_state():
    """Of a chain that counts its steps; step i draws from fold_in(key, i), whatever is kept."""

    def step(x, key):
        return x + 1, jax.random.uniform(key)

    key = jax.random.key(0)
    last, (states, moves) = mcmc.walk(step, jnp.zeros((), int), key, 4, thin=3)
    np.testing.assert_array_equal(states, [3, 6, 9, 12])
    assert last == 12
    every = mcmc.walk(step, jnp.zeros((), int), jax.random.clone(key), 12)[1][1]
    np.testing.assert_array_equal(moves, every[2::3])
    for n, thin in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="n, thin"):
            mcmc.walk(step, jnp.zeros((), int), jax.random.key(0), n, thin=thin)
