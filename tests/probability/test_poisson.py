# SPDX-License-Identifier: Apache-2.0
"""The Poisson distribution against SciPy and 60 digits, near its mode and at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from jaxml.probability import poisson

log_prob, log_prob_of_rate = map(jax.jit, (poisson.log_prob, poisson.log_prob_of_rate))

COUNTS = np.array([0, 1, 2, 5, 7, 8, 9, 30, 1000, 10_000])


def grid(dtype):
    """Every count with rates from far below to far above it, and at its mode."""
    y, ratio = np.meshgrid(COUNTS, [1e-3, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0, 30.0])
    y = y.ravel().astype(dtype)
    return y, np.log((y + 0.5) * ratio.ravel()).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "tol", "tol_gradient"), [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]
)
def test_log_prob_matches_60_digits(dtype, tol, tol_gradient, x64):
    """yη − e^η − log y! and its slope y − e^η, relative to 1 + |·|, also where terms cancel.

    Value and slope may be off by what rounding η itself would change.
    """
    y, eta = grid(dtype)
    with mp.workdps(60):
        exact = [(mp.mpf(float(a)), mp.mpf(float(b))) for a, b in zip(y, eta, strict=True)]
        value = np.array([float(a * b - mp.exp(b) - mp.loggamma(a + 1)) for a, b in exact])
        slope = np.array([float(a - mp.exp(b)) for a, b in exact])
    y, eta = jnp.asarray(y), jnp.asarray(eta)
    ours = log_prob(y, eta)
    assert ours.dtype == dtype
    error = np.abs(np.asarray(ours, np.float64) - value)
    rounding = np.abs(slope * np.asarray(eta, np.float64)) * np.finfo(dtype).eps / 2
    assert (error <= tol * (1 + np.abs(value)) + rounding).all()
    gradient = jax.jit(jax.grad(lambda eta: jnp.sum(log_prob(y, eta))))(eta)
    error = np.abs(np.asarray(gradient, np.float64) - slope)
    wide = np.asarray(eta, np.float64)
    rounding = np.abs(np.exp(wide) * wide) * np.finfo(dtype).eps / 2
    assert (error <= tol_gradient * (1 + np.abs(slope)) + rounding).all()
    of_rate = log_prob_of_rate(y, jnp.exp(eta))
    np.testing.assert_allclose(of_rate, ours, rtol=10 * tol, atol=10 * tol)


def test_the_plain_form_has_lost_its_digits_at_large_counts():
    """In float32 and at y = 10⁶ three terms of up to 10⁷ cancel to a value of −7.8."""
    y, eta = jnp.float32(1e6), jnp.float32(np.log(1e6))
    plain = y * eta - jnp.exp(eta) - jax.lax.lgamma(y + 1)
    exact = scipy.stats.poisson.logpmf(1_000_000, np.exp(np.float64(eta)))
    assert abs(float(plain) - exact) > 0.1
    assert abs(float(log_prob(y, eta)) - exact) < 1e-5


def test_probabilities_sum_to_one_and_match_scipy(x64):
    """Σ_y P(y) = 1, from rates near 0 to 100, and each is SciPy's."""
    y = jnp.arange(400.0)
    for rate in (1e-3, 0.7, 8.0, 100.0):
        log_p = np.asarray(log_prob_of_rate(y, jnp.full_like(y, rate)))
        np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)
        np.testing.assert_allclose(
            log_p, scipy.stats.poisson.logpmf(y, rate), rtol=1e-12, atol=1e-13
        )


def test_a_rate_of_zero_allows_no_count():
    """λ = 0: P(0) = 1 with slope −1 in λ, every other count impossible; a negative rate is NaN."""
    zero = jnp.float32(0)
    assert log_prob_of_rate(zero, zero) == 0
    assert jax.grad(log_prob_of_rate, argnums=1)(zero, zero) == -1
    assert log_prob_of_rate(jnp.float32(1), zero) == -jnp.inf
    assert np.isnan(log_prob_of_rate(zero, jnp.float32(-1)))
    assert np.isnan(log_prob_of_rate(zero, jnp.float32(jnp.nan)))


def test_there_are_no_negative_counts():
    for y in (-1.0, -1.5, -1e-3):
        assert log_prob(jnp.float32(y), jnp.float32(0.3)) == -jnp.inf
