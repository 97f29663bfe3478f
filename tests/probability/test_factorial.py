# SPDX-License-Identifier: Apache-2.0
"""What is left of log x! after x log x − x; permutations and combinations."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mp

from jaxml.probability import factorial

slope_of_remainder = jax.jit(jax.grad(lambda x: jnp.sum(factorial.stirling_remainder(x))))

POINTS = np.concatenate([np.geomspace(1e-8, 1e8, 200), np.linspace(0.5, 40, 200)])


@pytest.mark.parametrize(
    ("dtype", "tol", "tol_gradient"), [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]
)
def test_stirling_remainder_matches_60_digits(dtype, tol, tol_gradient, x64):
    """log Γ(x + 1) − x log x + x, compiled or not, and its slope ψ(x + 1) − log x; to 1 + |·|."""
    x = POINTS.astype(dtype)
    with mp.workdps(60):
        exact = [mp.mpf(float(v)) for v in x]
        value = np.array([float(mp.loggamma(v + 1) - v * mp.log(v) + v) for v in exact])
        slope = np.array([float(mpmath.digamma(v + 1) - mp.log(v)) for v in exact])
    for compiled in (factorial.stirling_remainder, jax.jit(factorial.stirling_remainder)):
        ours = compiled(jnp.asarray(x))
        assert ours.dtype == dtype
        ours = np.asarray(ours, np.float64)
        assert np.max(np.abs(ours - value) / (1 + np.abs(value))) <= tol
    error = np.abs(np.asarray(slope_of_remainder(jnp.asarray(x)), np.float64) - slope)
    assert np.max(error / (1 + np.abs(slope))) <= tol_gradient


def test_stirling_remainder_at_the_edges():
    """0! leaves nothing, however small x is its slope is finite; NaN stays NaN."""
    tiny = jnp.float32([1e-38, 1.2e-38, 1e-30, 1e-20])
    assert np.all(np.isfinite(slope_of_remainder(tiny)))
    assert factorial.stirling_remainder(jnp.float32(0)) == 0
    assert np.isfinite(slope_of_remainder(jnp.float32(0)))
    assert np.isnan(factorial.stirling_remainder(jnp.float32(jnp.nan)))


def exact_counts(dtype):
    """Pairs n ≥ k up to 1e17 (1e9 in single precision), few, many and nearly all taken."""
    rng = np.random.default_rng(1)
    small = [(n, k) for n in range(13) for k in range(n + 1)]
    top = 17 if dtype == "f8" else 9
    large = [int(10**e) for e in rng.uniform(1.2, top, 150)]
    shares = [1, 2, 7, 0.001, 0.3, 0.5, 0.97, -1, -2, -9]
    for i, n in enumerate(large):
        share = shares[i % len(shares)]
        k = int(n * share) if isinstance(share, float) else share % n
        small.append((n, k))
    n, k = (np.array(v, dtype) for v in zip(*small, strict=True))
    return n, np.minimum(n, k)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 3e-15)])
def test_permutations_and_combinations_match_60_digits(dtype, tol, x64):
    """Relative to 1 + the value, where log-gamma functions would lose up to all digits."""
    n, k = exact_counts(dtype)
    with mp.workdps(60):
        pairs = [(mp.mpf(float(a)), mp.mpf(float(b))) for a, b in zip(n, k, strict=True)]
        orders = [mp.loggamma(a + 1) - mp.loggamma(a - b + 1) for a, b in pairs]
        sets = [o - mp.loggamma(b + 1) for o, (_, b) in zip(orders, pairs, strict=True)]
    for f, exact in ((factorial.log_permutations, orders), (factorial.log_combinations, sets)):
        value = np.array([float(v) for v in exact])
        found = jax.jit(f)(jnp.asarray(n), jnp.asarray(k))
        assert found.dtype == dtype
        error = np.abs(np.asarray(found, np.float64) - value) / (1 + value)
        assert error.max() <= tol, f
        x, y = jnp.asarray(n), jnp.asarray(k)
        lgamma = jax.lax.lgamma
        plain = lgamma(x + 1) - lgamma(x - y + 1)
        plain = plain - lgamma(y + 1) if f is factorial.log_combinations else plain
        error = np.abs(np.asarray(plain, np.float64) - value) / (1 + value)
        assert error.max() > 0.1  # the plain form has lost even the first digit


def test_they_count(x64):
    """Against all orders and sets that itertools lists, Pascal's triangle, and Vandermonde."""
    for n in range(8):
        for k in range(n + 1):
            orders = len(list(itertools.permutations(range(n), k)))
            sets = len(list(itertools.combinations(range(n), k)))
            a, b = jnp.asarray(float(n)), jnp.asarray(float(k))
            found = factorial.log_permutations(a, b), factorial.log_combinations(a, b)
            np.testing.assert_allclose(np.exp(found), [orders, sets], rtol=1e-14)
    k = jnp.arange(61.0)
    row = np.exp(factorial.log_combinations(jnp.full(61, 60.0), k))
    np.testing.assert_allclose(row.sum(), 2.0**60, rtol=1e-13)
    np.testing.assert_array_equal(row, row[::-1])
    above = np.exp(factorial.log_combinations(jnp.full(61, 61.0), k))
    np.testing.assert_allclose(above[1:], row[1:] + row[:-1], rtol=1e-13)


def test_nothing_is_taken_outside(x64):
    """−inf for k < 0 and k > n, exactly 0 for one way, with slopes that are 0 or those of Γ."""
    n = jnp.array([5.0, 5.0, 0.0, 0.0, 5.0, 5.0, jnp.nan, 3.0, -2.0])
    k = jnp.array([-1.0, 6.0, 1.0, 0.0, 0.0, 5.0, 1.0, jnp.nan, 0.0])
    sets = np.asarray(factorial.log_combinations(n, k))
    orders = np.asarray(factorial.log_permutations(n, k))
    np.testing.assert_array_equal(sets, [-np.inf] * 3 + [0] * 3 + [np.nan] * 2 + [-np.inf])
    np.testing.assert_array_equal(orders[[0, 1, 2, 3, 4, 8]], [-np.inf] * 3 + [0, 0] + [-np.inf])
    assert orders[5] == pytest.approx(np.log(120), rel=1e-15)
    assert np.isnan(orders[6:8]).all()
    n, k = jnp.array([5.0, 5.0, 5.0, 0.0, 7.0, 1e6]), jnp.array([-1.0, 6.0, 5.0, 0.0, 0.0, 3e5])
    psi = scipy.special.digamma
    inside = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    m = np.where(inside, n - k, 0)
    of_taken = psi(np.maximum(k, 0) + 1)
    for f, by_k in ((factorial.log_permutations, psi(m + 1)),
                    (factorial.log_combinations, psi(m + 1) - of_taken)):  # fmt: skip
        slopes = jax.jit(jax.grad(lambda n, k, f=f: f(n, k).sum(), (0, 1)))(n, k)
        np.testing.assert_allclose(slopes[0], inside * (psi(n + 1) - psi(m + 1)), atol=1e-12)
        np.testing.assert_allclose(slopes[1], inside * by_k, atol=1e-12)
    one = factorial.log_combinations(jnp.asarray(9.0), k)  # one n for many k
    np.testing.assert_array_equal(one, factorial.log_combinations(jnp.full(6, 9.0), k))


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 2e-6), ("f8", 4e-15)])
def test_rising_factorials_and_deviances_match_60_digits(dtype, tol, x64):
    """Values relative to 1 + their size, deviances to their size; slopes to 1 + theirs."""
    rng = np.random.default_rng(7)
    top = 12 if dtype == "f8" else 7
    a = (10 ** rng.uniform(-20, top, 300)).astype(dtype)
    d = np.where(rng.random(300) < 0.3, rng.integers(0, 9, 300), 10 ** rng.uniform(-3, top, 300))
    d = d.astype(dtype)
    x = (10 ** rng.uniform(-3, top, 300)).astype(dtype)
    m = (x * np.exp(rng.normal(size=300) * 10 ** rng.uniform(-6, 0.7, 300))).astype(dtype)
    with mp.workdps(60):
        pairs = [(mp.mpf(float(u)), mp.mpf(float(v))) for u, v in zip(a, d, strict=True)]
        rising = [float(mp.loggamma(u + v) - mp.loggamma(u)) for u, v in pairs]
        by_a = [float(mpmath.digamma(u + v) - mpmath.digamma(u)) for u, v in pairs]
        pairs = [(mp.mpf(float(u)), mp.mpf(float(v))) for u, v in zip(x, m, strict=True)]
        cost = [float(u * mp.log(u / v) - u + v) for u, v in pairs]
        by_x = [float(mp.log(u / v)) for u, v in pairs]
        by_m = [float(1 - u / v) for u, v in pairs]
    both = jax.jit(lambda a, d: (factorial.log_rising(a, d), factorial.deviance(a, d)))
    found = np.asarray(both(jnp.asarray(a), jnp.asarray(d))[0], np.float64)
    assert np.max(np.abs(found - rising) / (1 + np.abs(rising))) <= tol
    found = np.asarray(both(jnp.asarray(x), jnp.asarray(m))[1], np.float64)
    np.testing.assert_allclose(found, cost, rtol=tol, atol=1e-37)
    of_deviance = jax.jit(jax.grad(lambda x, m: factorial.deviance(x, m).sum(), (0, 1)))
    of_rising = jax.jit(jax.grad(lambda a, d: factorial.log_rising(a, d).sum()))
    for ours, exact in zip(of_deviance(jnp.asarray(x), jnp.asarray(m)), (by_x, by_m), strict=True):
        np.testing.assert_allclose(np.asarray(ours, np.float64), exact, rtol=2 * tol, atol=1e-30)
    ours = np.asarray(of_rising(jnp.asarray(a), jnp.asarray(d)), np.float64)
    loose = 1e-4 if dtype == "f4" else 1e-11
    assert np.max(np.abs(ours - by_a) / (1 + np.abs(by_a))) <= loose


def test_deviances_at_the_edges():
    """0 log 0 = 0, in slopes as well; what is counted where nothing can be costs infinity."""
    x, m = jnp.array([0.0, 0.0, 2.0, 3.0]), jnp.array([0.0, 2.0, 0.0, 3.0])
    np.testing.assert_array_equal(factorial.deviance(x, m), [0, 2, np.inf, 0])
    far = factorial.deviance(jnp.float32([1e30, 1e-20]), jnp.float32([1e-20, 1e25]))
    np.testing.assert_allclose(far, [1e30 * (50 * np.log(10) - 1), 1e25], rtol=1e-6)
    by_x, by_m = jax.grad(lambda x, m: factorial.deviance(x, m).sum(), (0, 1))(x, m)
    np.testing.assert_array_equal(by_x, [0, 0, np.inf, 0])
    np.testing.assert_array_equal(by_m, [0, 1, -np.inf, 0])
    assert factorial.log_rising(jnp.float32(1.2e-38), jnp.float32(0)) == 0
    tiny = factorial.log_rising(jnp.float32(1.2e-38), jnp.float32(3))
    np.testing.assert_allclose(tiny, np.log(1.2e-38) + np.log(2), rtol=1e-6)
