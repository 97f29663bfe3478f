# SPDX-License-Identifier: Apache-2.0
"""The binomial distribution against 60 digits and SciPy, for any number of trials and any odds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from jaxml.probability import binomial

log_prob = jax.jit(binomial.log_prob)


def grid(dtype):
    """Counts at both ends, in the tails and at the mode, for 1 to 10⁶ trials."""
    rows = []
    for n in (1, 2, 7, 40, 1000, 1_000_000):
        for a in (-60.0, -8.0, -0.7, 0.0, 0.4, 5.0, 30.0):
            p = 1 / (1 + np.exp(-a))
            for y in {0, 1, n // 3, round(n * p), n - 1, n}:
                rows.append((y, n, a))
    return np.array(rows).T.astype(dtype)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_and_its_slope_match_60_digits(dtype, tol, x64):
    """Relative to 1 + |·|, beside what rounding the logit would change."""
    y, n, a = grid(dtype)
    with mp.workdps(60):
        value, slope = [], []
        for k, m, b in zip(y, n, a, strict=True):
            k, m, b = (mp.mpf(float(v)) for v in (k, m, b))
            p = 1 / (1 + mp.exp(-b))
            value.append(float(mp.log(mp.binomial(m, k)) + k * mp.log(p) + (m - k) * mp.log(1 - p)))
            slope.append(float(k * (1 - p) - (m - k) * p))
    value, slope = np.array(value), np.array(slope)
    args = tuple(map(jnp.asarray, (y, n, a)))
    ours = log_prob(*args)
    assert ours.dtype == dtype
    error = np.abs(np.asarray(ours, np.float64) - value)
    eps = np.finfo(dtype).eps
    rounding = np.abs(slope) * (1 + np.abs(a.astype(np.float64))) * eps
    assert (error <= tol * (1 + np.abs(value)) + rounding).all()
    found = jax.jit(jax.grad(lambda a: log_prob(*args[:2], a).sum()))(args[2])
    error = np.abs(np.asarray(found, np.float64) - slope)
    assert (error <= 10 * tol * (1 + np.abs(slope)) + 4 * eps * n).all()


def test_probabilities_sum_to_one_with_the_moments(x64):
    for n, a in ((1, 0.3), (30, -2.0), (500, 1.0)):
        y = jnp.arange(n + 1.0)
        trials, logits = jnp.full_like(y, n), jnp.full_like(y, a)
        p = np.exp(log_prob(y, trials, logits))
        share = 1 / (1 + np.exp(-a))
        np.testing.assert_allclose(p, scipy.stats.binom.pmf(y, n, share), rtol=1e-10, atol=1e-300)
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-13)
        mean, variance = (f(trials[0], logits[0]) for f in (binomial.mean, binomial.variance))
        np.testing.assert_allclose(p @ y, mean, rtol=1e-12)
        np.testing.assert_allclose(p @ (y - mean) ** 2, variance, rtol=1e-11)
        entropy = binomial.entropy(n, logits[0])
        np.testing.assert_allclose(entropy, scipy.stats.binom.entropy(n, share), rtol=1e-10)


def test_certain_outcomes_and_impossible_ones():
    """Infinite logits: one count has probability 1; no count below 0 or above n; NaN stays."""
    y = jnp.array([0.0, 1.0, 5.0])
    n, never = jnp.full_like(y, 5.0), jnp.full_like(y, -jnp.inf)
    np.testing.assert_array_equal(log_prob(y, n, never), [0, -np.inf, -np.inf])
    np.testing.assert_array_equal(log_prob(y, n, -never), [-np.inf, -np.inf, 0])
    np.testing.assert_array_equal(log_prob(jnp.array([-1.0, 6.0]), n[:2], n[:2]), -np.inf)
    slope = jax.grad(lambda a: log_prob(jnp.float32(-1), jnp.float32(5), a))(jnp.float32(0.3))
    assert slope == 0
    assert np.isnan(log_prob(y[:1], n[:1], jnp.array([jnp.nan]))).all()
    assert binomial.entropy(5, jnp.float32(-jnp.inf)) == 0
    slope = jax.grad(lambda a: binomial.entropy(5, a))(jnp.float32(-200.0))
    assert np.isfinite(slope)
    with pytest.raises(ValueError, match="trials"):
        binomial.entropy(-1, jnp.float32(0))


def test_the_plain_form_has_lost_its_digits_at_many_trials():
    """In float32 and at n = 10⁶ numbers of 7·10⁵ cancel to −7."""
    y, n, a = jnp.float32(500_000), jnp.float32(1e6), jnp.float32(0)
    gamma = jax.lax.lgamma
    plain = gamma(n + 1) - gamma(y + 1) - gamma(n - y + 1) + n * jnp.log(0.5)
    exact = scipy.stats.binom.logpmf(500_000, 1_000_000, 0.5)
    assert abs(float(plain) - exact) > 1e-2
    assert abs(float(log_prob(y, n, a)) - exact) < 1e-5


@pytest.mark.parametrize(("n", "a"), [(5, -0.5), (60, 2.0), (1000, -4.0)])
def test_draws_follow_the_law(n, a):
    """Chi squared of the counts that are expected five times or more, the others together."""
    size = 20_000
    law = jnp.full(size, float(n)), jnp.full(size, a)
    y = np.asarray(jax.jit(binomial.sample)(*law, jax.random.key(n))).astype(int)
    p = scipy.stats.binom.pmf(np.arange(n + 1), n, 1 / (1 + np.exp(-a)))
    often = size * p >= 5
    counts = np.bincount(y, minlength=n + 1)
    observed, expected = (np.append(v[often], v[~often].sum()) for v in (counts, size * p))
    keep = expected > 1e-9
    expected = expected[keep] / expected[keep].sum() * observed[keep].sum()
    assert scipy.stats.chisquare(observed[keep], expected).pvalue > 1e-3


def test_certain_draws():
    n = jnp.array([7.0, 7.0, 0.0])
    y = binomial.sample(n, jnp.array([-jnp.inf, jnp.inf, 0.0]), jax.random.key(0))
    np.testing.assert_array_equal(y, [0, 7, 0])
