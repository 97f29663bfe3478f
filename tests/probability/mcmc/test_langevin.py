# SPDX-License-Identifier: Apache-2.0
"""Langevin steps on Gaussians: the bias of the plain ones, and none in the corrected ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from jaxml.probability import mcmc


def test_the_stationary_covariance_is_that_of_the_recursion(x64):
    """C = (I − hA) C (I − hA) + 2h I, solved by SciPy; 1.0526316 for A = 1 and h = 0.1."""
    root = np.random.default_rng(0).normal(size=(4, 4))
    A, h = root @ root.T + np.eye(4), 0.05
    step = np.eye(4) - h * A
    expected = scipy.linalg.solve_discrete_lyapunov(step, 2 * h * np.eye(4))
    np.testing.assert_allclose(mcmc.unadjusted_covariance(jnp.asarray(A), h), expected, rtol=1e-10)
    one = mcmc.unadjusted_covariance(jnp.ones((1, 1)), 0.1)
    np.testing.assert_allclose(one, 1 / 0.95, rtol=1e-14)
    assert abs(float(one[0, 0]) - 1.0526316) < 1e-7


def test_plain_steps_are_biased_and_corrected_ones_are_not():
    """h = 0.1 on N(0, 1): variance 1.0526 without, 1 with the decision of Metropolis.

    2¹⁸ chains begin where plain steps end, or at the truth; both laws must stay. A standard error
    is 0.003, so that the two are 18 of them apart.
    """
    n = 2**18

    def log_prob(x):
        return -0.5 * jnp.sum(jnp.square(x))

    @jax.jit
    def variances(key):
        x_key, plain_key, key = jax.random.split(key, 3)
        eps = jax.random.normal(x_key, (n,))
        x = jnp.sqrt(1 / 0.95) * eps
        step = lambda x, k: (mcmc.langevin(lambda x: -x, x, k, 0.1), None)  # noqa: E731
        plain, _ = mcmc.walk(step, x, plain_key, 1, thin=40)

        def one(x, key):
            step = lambda c, k: mcmc.adjusted_langevin(log_prob, c, k, 0.1)  # noqa: E731
            chain, (_, moves) = mcmc.walk(
                step, mcmc.start(log_prob, x, slope=True), key, 1, thin=40
            )
            return chain.x, moves.acceptance[0], jnp.abs(chain.slope + chain.x)

        exact, acceptance, off = jax.vmap(one)(eps, jax.random.split(key, n))
        return plain.var(), exact.var(), acceptance.mean(), off.max(), exact

    plain, exact, acceptance, off, x = variances(jax.random.key(0))
    error = np.sqrt(2 / n)
    assert abs(plain - 1 / 0.95) < 4.5 * error / 0.95
    assert abs(plain - 1) > 10 * error
    assert abs(exact - 1) < 4.5 * error
    assert 0.97 < acceptance < 1
    assert off == 0  # the kept slope is that of the kept state
    assert scipy.stats.kstest(np.asarray(x), "norm").pvalue > 1e-4


def test_plain_steps_leave_a_gaussian_in_two_dimensions_as_the_closed_form_says():
    """Chains from that Gaussian keep its covariance, each entry within 4.5 standard errors."""
    A = np.array([[2.0, 0.6], [0.6, 1.0]])
    C, n = np.asarray(mcmc.unadjusted_covariance(jnp.asarray(A, jnp.float32), 0.4)), 100_000
    x = np.random.default_rng(0).multivariate_normal(np.zeros(2), C, n).astype(np.float32)
    step = lambda x, k: (mcmc.langevin(lambda x: -x @ jnp.asarray(A, x.dtype), x, k, 0.4), None)  # noqa: E731
    end, _ = jax.jit(lambda x, k: mcmc.walk(step, x, k, 1, thin=10))(x, jax.random.key(0))
    found = np.cov(np.asarray(end).T)
    error = np.sqrt((C**2 + np.outer(np.diag(C), np.diag(C))) / n)
    assert (np.abs(found - C) < 4.5 * error).all()
    assert (np.abs(found - np.linalg.inv(A)) > 10 * error).any()


def test_a_skewed_law_stays():
    """Exact draws of Gumbel's law are still of that law after six corrected steps."""
    n = 20_000
    log_prob = lambda x: jnp.sum(-x - jnp.exp(-x))  # noqa: E731
    step = lambda c, k: mcmc.adjusted_langevin(log_prob, c, k, 0.5)  # noqa: E731

    @jax.jit
    def moved(key):
        x_key, key = jax.random.split(key)
        x = jax.random.gumbel(x_key, (n,))
        chains = jax.vmap(lambda x: mcmc.start(log_prob, x, slope=True))(x)
        keys = jax.random.split(key, n)
        last, (_, moves) = jax.vmap(lambda c, k: mcmc.walk(step, c, k, 1, thin=6))(chains, keys)
        return last.x, moves.acceptance.mean()

    x, acceptance = moved(jax.random.key(2))
    assert scipy.stats.kstest(np.asarray(x), "gumbel_r").pvalue > 1e-4
    assert 0.5 < acceptance < 0.95


def test_a_chain_without_its_slope_is_refused():
    log_prob = lambda x: -jnp.sum(x**2)  # noqa: E731
    chain = mcmc.start(log_prob, jnp.zeros(2))
    with pytest.raises(ValueError, match="slope=True"):
        mcmc.adjusted_langevin(log_prob, chain, jax.random.key(0), 0.1)
