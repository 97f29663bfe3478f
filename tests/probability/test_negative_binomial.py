# SPDX-License-Identifier: Apache-2.0
"""The negative binomial distribution against SciPy, 60 digits and its Poisson limit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from jaxml.probability import negative_binomial, poisson

COUNTS = [0, 1, 7, 8, 40, 10_000]
LOG_SHAPES = [-30.0, -9.0, 0.3, 3.0, 9.0, 20.0, 36.0]


def grid(dtype):
    """Counts, log means from far below to far above them, and shapes over 66 powers of e."""
    rows = [
        (y, np.log((y + 0.5) * ratio), s)
        for y, ratio, s in itertools.product(COUNTS, [1e-13, 1e-3, 0.9, 1.0, 1.1, 30.0], LOG_SHAPES)
    ]
    return np.array(rows).T.astype(dtype)


def exact(y, m, s):
    mu, r = mp.exp(m), mp.exp(s)
    gammas = mp.loggamma(y + r) - mp.loggamma(r) - mp.loggamma(y + 1)
    return gammas + r * mp.log(r / (r + mu)) + y * mp.log(mu / (r + mu))


def slopes(y, m, s):
    mu, r = mp.exp(m), mp.exp(s)
    by_r = mp.digamma(y + r) - mp.digamma(r) + mp.log(r / (r + mu)) - (y - mu) / (r + mu)
    return r * (y - mu) / (r + mu), r * by_r


log_prob = jax.jit(negative_binomial.log_prob)


@pytest.mark.parametrize(
    ("dtype", "tol", "tol_gradient"), [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]
)
def test_log_prob_matches_60_digits(dtype, tol, tol_gradient, x64):
    """The value and both slopes, relative to 1 + |·|, where the plain form has no digit left.

    The value may be off by what rounding logarithms would change, the slopes by what rounding the
    count would.
    """
    points = grid(dtype)
    with mp.workdps(60):
        args = [[mp.mpf(float(v)) for v in column] for column in points.T]
        value = np.array([float(exact(*a)) for a in args])
        slope = np.array([[float(v) for v in slopes(*a)] for a in args]).T
    y, m, s = map(jnp.asarray, points)
    ours = log_prob(y, m, s)
    assert ours.dtype == dtype
    error = np.abs(np.asarray(ours, np.float64) - value)
    # Half a last digit for the parameter, half for log y, from which log μ is subtracted.
    rounding = np.abs(slope * points[1:].astype(np.float64)).sum(0) * np.finfo(dtype).eps
    assert (error <= tol * (1 + np.abs(value)) + rounding).all()
    gradient = jax.grad(lambda m, s: jnp.sum(log_prob(y, m, s)), argnums=(0, 1))
    error = np.abs(np.stack(jax.jit(gradient)(m, s)).astype(np.float64) - slope)
    assert np.max(error / (1 + np.abs(slope) + points[0].astype(np.float64))) <= tol_gradient


def test_probabilities_match_scipy_and_sum_to_one(x64):
    """SciPy counts failures before r successes of probability r/(r + μ)."""
    counts = jnp.arange(3000.0)
    for mean, r in ((0.1, 0.5), (4.0, 3.0), (30.0, 1.5), (100.0, 1e4)):
        same = jnp.asarray(np.full(3000, np.log(mean))), jnp.asarray(np.full(3000, np.log(r)))
        log_p = log_prob(counts, *same)
        log_p, y = np.asarray(log_p), np.asarray(counts)
        expected = scipy.stats.nbinom.logpmf(y, r, r / (r + mean))
        np.testing.assert_allclose(log_p[:300], expected[:300], rtol=1e-10, atol=1e-11)
        p = np.exp(log_p)
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
        np.testing.assert_allclose(p @ y, mean, rtol=1e-10)
        np.testing.assert_allclose(p @ (y - mean) ** 2, mean + mean**2 / r, rtol=1e-9)


def test_the_limit_of_a_large_shape_is_poisson():
    """Also in float32, in which log Γ(y + r) − log Γ(r) is noise."""
    y, m = jnp.array([0.0, 3.0, 90.0]), jnp.log(jnp.array([0.5, 4.0, 100.0]))
    limit = log_prob(y, m, jnp.full_like(y, 30.0))
    np.testing.assert_allclose(limit, jax.jit(poisson.log_prob)(y, m), rtol=1e-5)


def test_there_are_no_negative_counts():
    zero = jnp.float32(0)
    assert log_prob(jnp.float32(-1), zero, zero) == -jnp.inf
