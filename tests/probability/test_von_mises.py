# SPDX-License-Identifier: Apache-2.0
"""The von Mises distribution against 60 digits, SciPy and quadrature, from κ = 0 to 10⁸."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import von_mises

log_prob, sample = map(jax.jit, (von_mises.log_prob, von_mises.sample))
slopes = jax.jit(jax.grad(lambda *v: log_prob(*v).sum(), (0, 1, 2)))
CONCENTRATIONS = [0, 1e-6, 0.01, 0.7, 3, 9, 11, 30, 49, 52, 700, 1e4, 1e6, 1e8]


@jax.jit
def moments(k):
    """A, 1 − A, the entropy, and slopes of the last two."""
    law = von_mises.variance, von_mises.entropy
    return (
        von_mises.mean_resultant_length(k),
        *(f(k) for f in law),
        *(jax.jvp(f, (k,), (jnp.ones_like(k),))[1] for f in law),
    )


def grid(dtype):
    rows = []
    for k in CONCENTRATIONS:
        width = min(1 / np.sqrt(k + 1e-300), 1)
        gaps = np.array([0, 1e-5, 0.1, 1, 4, 10]) * width
        rows += [(0.4 + v, 0.4, k) for v in (*gaps, *-gaps, 2.0, 3.1, -3.5, 40.0)]
        rows += [(v, 0.0, k) for v in (1e-12, 1e-4 * width)]
    return np.array(rows).T.astype(dtype)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_and_its_slopes_match_60_digits(dtype, tol, x64):
    """Relative to 1 + |·|, beside what rounding the angle would change."""
    x, m, k = grid(dtype)
    rows = []
    with mp.workdps(60):
        for v in zip(x, m, k, strict=True):
            u, n, c = (mp.mpf(float(w)) for w in v)
            gap, norm = u - n, mp.besseli(0, c)
            value = c * mp.cos(gap) - mp.log(2 * mp.pi * norm)
            by_k = mp.cos(gap) - mp.besseli(1, c) / norm
            rows.append((value, -c * mp.sin(gap), by_k))
    value, by_x, by_k = np.array(rows, dtype=np.float64).T
    args = tuple(map(jnp.asarray, (x, m, k)))
    ours = log_prob(*args)
    assert ours.dtype == dtype
    eps, wide = np.finfo(dtype).eps, k.astype(np.float64)
    turned = eps * np.abs(x - m).astype(np.float64)
    error = np.abs(np.asarray(ours, np.float64) - value)
    assert (error <= tol * (1 + np.abs(value)) + turned * np.abs(by_x)).all()
    found = [np.asarray(v, np.float64) for v in slopes(*args)]
    assert (np.abs(found[0] - by_x) <= 4 * eps * (np.abs(by_x) + wide * turned / eps)).all()
    np.testing.assert_array_equal(found[1], -found[0])
    scale = np.abs(by_k) + 10 / (1 + wide)  # with digits at large κ, where it is about 1/2κ
    assert (np.abs(found[2] - by_k) <= 8 * eps * scale + turned * np.abs(np.sin(x - m))).all()


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-5), ("f8", 3e-13)])
def test_moments_and_entropy_match_60_digits(dtype, tol, x64):
    k = np.array(CONCENTRATIONS, dtype)
    rows = []
    with mp.workdps(60):
        for c in k:
            c = mp.mpf(float(c))
            a = mp.besseli(1, c) / mp.besseli(0, c)
            entropy = mp.log(2 * mp.pi * mp.besseli(0, c)) - c * a
            slope = 1 - a * a - (a / c if c > 0 else mp.mpf(0.5))
            rows.append([float(v) for v in (a, 1 - a, entropy, -slope, -c * slope)])
    for ours, exact in zip(moments(jnp.asarray(k)), np.array(rows).T, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours[1:], exact[1:], rtol=8 * tol, atol=tol * 5e-3)
        np.testing.assert_allclose(ours[0], exact[0], rtol=tol, atol=1e-30)


def test_moments_entropy_and_divergence_by_quadrature(x64):
    """Trapezoids of a periodic function; and SciPy's entropy."""
    x = jnp.arange(4096.0) * (2 * np.pi / 4096)
    for k, other in ((0.0, 2.0), (0.3, 0.0), (2.0, 7.0), (60.0, 55.0)):
        law, rest = ((jnp.float64(m), jnp.float64(c)) for m, c in ((1.0, k), (1.8, other)))
        log_p, log_q = (
            np.asarray(log_prob(x, *(jnp.full(4096, v) for v in each))) for each in (law, rest)
        )
        p = np.exp(log_p) * 2 * np.pi / 4096
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-13)
        length, variance, entropy, *_ = moments(law[1])
        moment = float(length) * np.exp(1j)
        np.testing.assert_allclose(p @ np.exp(1j * np.asarray(x)), moment, atol=1e-14)
        np.testing.assert_allclose(1 - abs(moment), variance, rtol=1e-12)
        np.testing.assert_allclose(-(p @ log_p), entropy, rtol=1e-12)
        np.testing.assert_allclose(scipy.stats.vonmises.entropy(k), entropy, rtol=1e-12)
        divergence = von_mises.kl_divergence(*law, *rest)
        np.testing.assert_allclose(p @ (log_p - log_q), divergence, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 2e-6), ("f8", 1e-14)])
def test_divergence_matches_60_digits(dtype, tol, x64):
    k = np.repeat(np.array(CONCENTRATIONS, dtype), 3)
    other = (k * np.tile(np.array([1, 1.01, 0.2], dtype), len(CONCENTRATIONS))).astype(dtype)
    m, n = np.full_like(k, 0.25), np.full_like(k, 0.5)
    exact = []
    with mp.workdps(60):
        for c, d in zip(k, other, strict=True):
            c, d = mp.mpf(float(c)), mp.mpf(float(d))
            a = mp.besseli(1, c) / mp.besseli(0, c)
            norms = mp.log(mp.besseli(0, d) / mp.besseli(0, c))
            exact.append([float(norms + a * (c - d * mp.cos(gap))) for gap in (0, mp.mpf(0.25))])
    f = jax.jit(von_mises.kl_divergence)
    m, k, n, other = map(jnp.asarray, (m, k, n, other))
    for end, value in zip((m, n), np.array(exact).T, strict=True):
        error = np.abs(np.asarray(f(m, k, end, other), np.float64) - value)
        assert (error <= tol * (1 + np.abs(value))).all()


def test_the_plain_form_has_lost_its_digits_at_large_concentrations():
    """In float32 and at κ = 10⁶ the steps of a cosine next to 1, 6e-8, count 0.06 each."""
    x, k = jnp.float32(2e-4), jnp.float32(1e6)
    plain = k * (jnp.cos(x) - 1) - jnp.log(2 * jnp.pi * jax.scipy.special.i0e(k))
    truth = scipy.stats.norm.logpdf(2e-4, scale=1e-3)
    assert abs(float(plain) - truth) > 1e-2
    assert abs(float(log_prob(x, jnp.float32(0), k)) - truth) < 1e-5


def test_what_is_no_number_stays_none():
    x = jnp.array([0.3, jnp.nan, 0.3, 0.3, 0.3])
    m = jnp.array([0.0, 0.0, jnp.nan, 0.0, 0.0])
    k = jnp.array([0.0, 2.0, 2.0, jnp.nan, -1.0])
    found = log_prob(x, m, k)
    np.testing.assert_allclose(found[0], -np.log(2 * np.pi), rtol=1e-6)
    assert np.isnan(found[1:]).all()
    m = jnp.array([0.0, jnp.nan, 0.0, 0.3, 0.3, 0.0])
    k = jnp.array([1.0, 2.0, jnp.nan, jnp.inf, 1e38, -1.0])
    draws = sample(m, k, jax.random.key(0))
    np.testing.assert_array_equal(np.isnan(draws), [False, True, True, False, False, True])
    np.testing.assert_allclose(draws[3:5], 0.3, rtol=1e-6)


@pytest.mark.parametrize("k", [0.0, 1e-6, 0.5, 4.0, 60.0, 1e6])
def test_draws_follow_the_law(k):
    size = 20_000
    x = np.asarray(sample(jnp.zeros(size), jnp.full(size, k), jax.random.key(1)), np.float64)
    assert (np.abs(x) <= np.pi + 1e-6).all()
    cdf = scipy.stats.norm(0, k**-0.5).cdf if k > 1e5 else scipy.stats.vonmises(k).cdf
    if k < 1e-3:
        cdf = scipy.stats.uniform(-np.pi, 2 * np.pi).cdf
    assert scipy.stats.kstest(x, cdf).pvalue > 1e-3
    assert abs((x < 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(size)
    moved = sample(jnp.full(size, 2.0), jnp.full(size, k), jax.random.key(1))
    np.testing.assert_allclose(moved, 2 + x, atol=1e-6)


def test_slopes_of_draws_are_those_of_quantiles(x64):
    """∂x/∂κ at one probability, by differences; 1 in the location."""
    size = 2000
    for k in (0.01, 0.8, 6.0, 200.0):
        m, law = jnp.full(size, 0.3), jnp.full(size, k)
        key = jax.random.key(2)
        x, change = jax.jit(lambda m, k, key: jax.linearize(lambda *v: sample(*v, key), m, k))(
            m, law, key
        )
        zero, one = jnp.zeros(size), jnp.ones(size)
        np.testing.assert_array_equal(change(one, zero), 1)
        theta, by_k = np.asarray(x)[:100] - 0.3, np.asarray(change(zero, one))[:100]
        h, node, weight = 1e-4 * k, *np.polynomial.legendre.leggauss(200)

        def below(c, theta=theta, node=node, weight=weight):
            t = theta[:, None] * (node + 1) / 2
            return np.exp(scipy.stats.vonmises.logpdf(t, c)) @ weight * theta / 2

        density = np.exp(scipy.stats.vonmises.logpdf(theta, k))
        truth = -(below(k + h) - below(k - h)) / (2 * h) / density
        np.testing.assert_allclose(by_k, truth, rtol=1e-6, atol=1e-9 / k)
    found = jax.grad(lambda k: sample(m, k, jax.random.key(3)).sum())(law)
    assert np.isfinite(found).all()
