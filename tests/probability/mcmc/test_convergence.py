# SPDX-License-Identifier: Apache-2.0
"""Diagnostics against loops in NumPy, NumPyro's own, and chains whose correlation is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxml.probability import mcmc

n_chains, n_draws = 4, 61


def correlated(rho, shape, seed=0):
    """x_t = ρ x_{t−1} + √(1 − ρ²) ε, begun in its stationary law N(0, 1)."""
    eps = np.random.default_rng(seed).normal(size=shape)
    eps[:, 1:] *= np.sqrt(1 - rho**2)
    return scipy.signal.lfilter([1], [1, -rho], eps, axis=1)


def split(x):
    n = x.shape[1] // 2
    return np.concatenate([x[:, :n], x[:, -n:]])


def reference(x):
    """R̂ and the effective number of draws, lag by lag."""
    x = split(x)
    m, n = x.shape
    W = np.mean([np.var(c, ddof=1) for c in x])
    V = (n - 1) / n * W + np.var([c.mean() for c in x], ddof=1)
    rho = [1.0]
    for t in range(1, n):
        terms = []
        for c in x:
            d = c - c.mean()
            own = np.sum(d[: n - t] * d[t:]) / np.sum(d * d)
            terms.append(np.var(c, ddof=1) * own)
        rho.append(1 - (W - np.mean(terms)) / V)
    total, smallest = 0.0, np.inf
    for k in range(n // 2):
        pair = rho[2 * k] + rho[2 * k + 1]
        if pair <= 0:
            break
        smallest = min(smallest, pair)
        total += smallest
    tau = max(2 * total - 1, 1 / np.log10(m * n))
    return np.sqrt(V / W), m * n / tau


@pytest.mark.parametrize("rho", [0.9, 0.3, -0.8])
def test_both_are_their_definitions(rho, x64):
    x = correlated(rho, (n_chains, n_draws)) + np.arange(n_chains)[:, None] * 0.2
    r_hat, size = reference(x)
    both = jnp.asarray(np.stack([x, x * 3 + 7], -1))  # a change of unit changes nothing
    np.testing.assert_allclose(mcmc.split_r_hat(both), [r_hat] * 2, rtol=1e-10)
    np.testing.assert_allclose(mcmc.effective_sample_size(both), [size] * 2, rtol=1e-8)


def test_both_agree_with_numpyro(x64):
    """R̂ to all digits; the size but for NumPyro's divisor of the autocovariance."""
    numpyro = pytest.importorskip("numpyro.diagnostics")
    x = correlated(0.7, (n_chains, 1000))
    np.testing.assert_allclose(
        mcmc.split_r_hat(jnp.asarray(x)), numpyro.split_gelman_rubin(x), rtol=1e-10
    )
    theirs = numpyro.effective_sample_size(split(x))
    np.testing.assert_allclose(mcmc.effective_sample_size(jnp.asarray(x)), theirs, rtol=0.01)


@pytest.mark.parametrize("rho", [0.9, 0.5, -0.5])
def test_a_known_correlation_gives_the_known_size(rho):
    """n(1 − ρ)/(1 + ρ) for ρ of first order: 100 repetitions, their mean within 4 %."""
    x = correlated(rho, (4, 2000, 100), seed=1).astype(np.float32)
    size = np.asarray(jax.jit(mcmc.effective_sample_size)(x))
    expected = 8000 * (1 - rho) / (1 + rho)
    assert abs(size.mean() / expected - 1) < 0.04
    assert abs(np.asarray(mcmc.split_r_hat(jnp.asarray(x))).mean() - 1) < 0.01


def test_chains_that_disagree_or_drift_are_told():
    """A shifted chain, and one with a trend that the whole chains would hide."""
    x = correlated(0.0, (4, 500)).astype(np.float32)
    assert mcmc.split_r_hat(jnp.asarray(x)) < 1.01
    shifted = x + np.array([0, 0, 0, 1], np.float32)[:, None]
    drifting = x + np.linspace(-1, 1, 500, dtype=np.float32)[None]
    for bad in (shifted, drifting):
        assert mcmc.split_r_hat(jnp.asarray(bad)) > 1.05
        assert mcmc.effective_sample_size(jnp.asarray(bad)) < 200


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="draws"):
        mcmc.split_r_hat(jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="draws"):
        mcmc.effective_sample_size(jnp.zeros((2, 7)))
