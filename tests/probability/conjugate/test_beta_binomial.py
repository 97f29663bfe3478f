# SPDX-License-Identifier: Apache-2.0
"""Shares of successes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import maximum_likelihood
from jaxml.probability.conjugate import beta_binomial as pair

predictive = jax.jit(pair.log_predictive)


def exact(a, b, k, n):
    a, b, k, n = (mp.mpf(float(v)) for v in (a, b, k, n))
    value = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
    value += mp.loggamma(a + k) + mp.loggamma(b + n - k) - mp.loggamma(a + b + n)
    return value - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 4e-6), ("f8", 2e-14)])
def test_the_predictive_matches_60_digits(dtype, tol, x64):
    """Up to 1e9 trials after 1e9 (1e6 in single precision), near the mean and far from it.

    To 1 + |log P|; differences of log-beta functions would be off by 1e-6 (and by 1).
    """
    rng, top = np.random.default_rng(0), 9 if dtype == "f8" else 6
    n = np.floor(10 ** rng.uniform(0, top, 200)).astype(dtype)
    a, b = (10 ** rng.uniform(-2, top, (2, 200))).astype(dtype)
    k = np.floor(n * np.clip(a / (a + b) * np.exp(rng.normal(size=200) * 0.1), 0, 1)).astype(dtype)
    k[:20], k[20:40] = 0, n[20:40]
    with mp.workdps(60):
        value = np.array([float(exact(*v)) for v in zip(a, b, k, n, strict=True)])
    found = predictive(pair.Beta(jnp.asarray(a), jnp.asarray(b)), jnp.asarray(k), jnp.asarray(n))
    assert found.dtype == dtype
    error = np.abs(np.asarray(found, np.float64) - value) / (1 + np.abs(value))
    assert error.max() <= tol
    if dtype == "f8":
        betaln = scipy.special.betaln
        plain = betaln(a + k, b + n - k) - betaln(a, b) - betaln(k + 1, n - k + 1) - np.log(n + 1)
        assert np.abs(plain - value).max() > 1e-8


def test_the_predictive_is_the_integral_and_sums_to_one(x64):
    """SciPy's beta-binomial; ∫ C(n, k) θ^k (1 − θ)^(n−k) p(θ) dθ by quadrature; −inf elsewhere."""
    law = pair.Beta(jnp.float64(2.5), jnp.float64(1.3))
    k = jnp.arange(-1.0, 14.0)
    found = np.asarray(predictive(law, k, jnp.float64(12)))
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-14)
    np.testing.assert_array_equal(found[[0, -1]], -np.inf)
    expected = scipy.stats.betabinom.logpmf(np.arange(13), 12, 2.5, 1.3)
    np.testing.assert_allclose(found[1:-1], expected, rtol=1e-12)
    for i in (0, 5, 12):
        total, _ = scipy.integrate.quad(
            lambda t, i=i: scipy.stats.binom.pmf(i, 12, t) * scipy.stats.beta.pdf(t, 2.5, 1.3),
            0, 1, epsabs=1e-14, epsrel=1e-11)  # fmt: skip
        np.testing.assert_allclose(np.exp(found[1 + i]), total, rtol=1e-9)
    assert np.isnan(predictive(law, jnp.full(1, jnp.nan), jnp.float64(12)))
    flat = predictive(pair.Beta(jnp.float64(1), jnp.float64(1)), k[1:-1], jnp.float64(12))
    np.testing.assert_allclose(flat, -np.log(13), rtol=1e-14)


def test_the_rule_of_succession(x64):
    """After three successes in three trials the next has probability 4/5; the estimate says 1.

    Over all data the plugged-in estimates lose: with the mode under a = b = 2, what is lost of
    E log P(next) after 5 draws is 0.0070 nats, by enumeration.
    """
    three = jnp.ones(3)
    after = pair.posterior(pair.Beta(jnp.float64(1), jnp.float64(1)), three, three)
    np.testing.assert_allclose(np.exp(predictive(after, three[0], three[0])), 0.8, rtol=1e-14)
    assert jax.nn.sigmoid(maximum_likelihood.bernoulli(three)) == 1
    assert predictive(after, jnp.float64(0), three[0]) == pytest.approx(np.log(0.2), rel=1e-14)
    law = pair.Beta(jnp.float64(2), jnp.float64(2))
    k = jnp.arange(6.0)
    after = pair.Beta(2 + k, 7 - k)
    one = np.exp(predictive(after, jnp.ones(6), jnp.float64(1)))
    np.testing.assert_allclose(one, (2 + k) / 9, rtol=1e-13)
    mode = np.asarray(pair.maximum_a_posteriori(after))
    np.testing.assert_allclose(mode, (1 + k) / 7, rtol=1e-15)
    chance = scipy.stats.betabinom.pmf(np.arange(6), 5, 2, 2)
    np.testing.assert_allclose(np.exp(predictive(law, k, jnp.float64(5))), chance, rtol=1e-13)
    lost = chance @ (one * np.log(one / mode) + (1 - one) * np.log((1 - one) / (1 - mode)))
    np.testing.assert_allclose(lost, 0.0070, atol=5e-5)


def test_modes_at_the_edges(x64):
    """Inside, at 0, at 1, and nowhere."""
    a = jnp.array([3.0, 1.0, 0.5, 2.0, 2.0, 1.0, 0.5, 1.0])
    b = jnp.array([2.0, 2.0, 2.0, 1.0, 0.2, 1.0, 0.5, 0.5])
    modes = pair.maximum_a_posteriori(pair.Beta(a, b))
    np.testing.assert_allclose(modes, [2 / 3, 0, 0, 1, 1, np.nan, np.nan, np.nan], rtol=1e-15)
    slope = jax.grad(lambda a: pair.maximum_a_posteriori(pair.Beta(a, b))[:5].sum())(a)
    assert np.isfinite(slope).all()


def test_evidence_of_what_cannot_be(x64):
    """More successes than trials; no trials at all; a million of them against 60 digits."""
    law = pair.Beta(jnp.array([2.0, 3.0]), jnp.array([1.0, 1.0]))
    k, n = jnp.array([[1.0, 0.0], [3.0, 0.0]]), jnp.array([[2.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(pair.log_evidence(law, k, n), [-np.inf, 0])
    k, n = np.array([400_100.0, 399_000.0]), np.array([1e6, 1e6])
    with mp.workdps(60):
        value = exact(2.0, 3.0, k.sum(), n.sum())
        for i, j in zip(k, n, strict=True):
            value += mp.log(mp.binomial(int(j), int(i)))
        value -= mp.log(mp.binomial(int(n.sum()), int(k.sum())))
    found = pair.log_evidence(
        pair.Beta(jnp.float64(2), jnp.float64(3)), jnp.asarray(k), jnp.asarray(n)
    )
    np.testing.assert_allclose(found, float(value), rtol=1e-13)
