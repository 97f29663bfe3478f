# SPDX-License-Identifier: Apache-2.0
"""The gamma distribution against 60 digits, SciPy and quadrature, from tiny shapes to huge ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import gamma

log_prob, log_prob_of_log = map(jax.jit, (gamma.log_prob, gamma.log_prob_of_log))
entropy, kl_divergence = map(jax.jit, (gamma.entropy, gamma.kl_divergence))
sample, sample_log = map(jax.jit, (gamma.sample, gamma.sample_log))
SHAPES = np.array([1e-30, 1e-6, 0.03, 0.5, 1, 1.3, 2.9, 3.1, 11.9, 12.1, 400, 1e6, 1e14])
slopes = jax.jit(jax.grad(lambda *v: log_prob(*v).sum(), (0, 1, 2)))
slopes_of_log = jax.jit(jax.grad(lambda *v: log_prob_of_log(*v).sum(), (0, 1, 2)))


def grid(dtype):
    """Points from far below the mean to far above, and within a few standard deviations."""
    near = np.array([-6.0, -1.0, 0.0, 1e-3, 0.3, 2.0, 30.0])
    ratio = np.concatenate(
        [np.maximum(1 + near / np.sqrt(SHAPES)[:, None], 1e-9)]
        + [np.full((len(SHAPES), 1), v) for v in (1e-20, 1e-6, 0.5, 1.5, 100.0)],
        axis=1,
    )
    a = np.broadcast_to(SHAPES[:, None], ratio.shape).ravel()
    rows = [(b, a, a / b * ratio.ravel()) for b in (1e-4, 1.0, 3e5)]
    b = np.concatenate([np.full_like(a, b) for b, _, _ in rows])
    a, x = (np.concatenate([row[i] for row in rows]) for i in (1, 2))
    x, a, b = (v.astype(dtype) for v in (x, a, b))
    keep = (x > np.finfo(dtype).tiny) & (x < np.finfo(dtype).max)
    return x[keep], a[keep], b[keep]


def exact(log_x, x, a, b):
    """log p and its slopes in x (times x), a and b."""
    value = a * mp.log(b) + (a - 1) * log_x - b * x - mp.loggamma(a)
    return value, a - 1 - b * x, mp.log(b) + log_x - mp.digamma(a), a / b - x


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_and_its_slopes_match_60_digits(dtype, tol, x64):
    """Relative to 1 + |·|, beside what rounding x, and bx, would change."""
    x, a, b = grid(dtype)
    eps = np.finfo(dtype).eps
    for of_log in (False, True):
        u = np.log(x) if of_log else x
        with mp.workdps(60):
            rows = []
            for v in zip(u, a, b, strict=True):
                v, c, d = (mp.mpf(float(w)) for w in v)
                rows.append(exact(*((v, mp.exp(v)) if of_log else (mp.log(v), v)), c, d))
            value, by_x, by_a, by_b = np.array(rows, dtype=np.float64).T
        args = tuple(map(jnp.asarray, (u, a, b)))
        wide = u.astype(np.float64)
        ours = (log_prob_of_log if of_log else log_prob)(*args)
        assert ours.dtype == dtype
        turned = np.abs(by_x) * (1 + np.abs(wide) if of_log else 2) * eps
        error = np.abs(np.asarray(ours, np.float64) - value)
        assert (error <= tol * (1 + np.abs(value)) + turned).all()
        found = (slopes_of_log if of_log else slopes)(*args)
        found = [np.asarray(v, np.float64) for v in found]
        scale = 1 + a.astype(np.float64) + b.astype(np.float64) * np.exp(wide if of_log else 0)
        if not of_log:
            found[0] = found[0] * wide
            scale = 1 + a.astype(np.float64) + b.astype(np.float64) * wide
        turned = (1 + np.abs(wide) if of_log else 1) * 8 * eps
        assert (np.abs(found[0] - by_x) <= scale * turned).all()
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        assert (np.abs(found[2] - by_b) * wide_b <= scale * turned).all()
        error = np.abs(found[1] - by_a)
        size = 1 + np.abs(by_a) + 1 / wide_a
        assert (error <= 10 * tol * size + 4 * turned).all()


def test_the_plain_form_has_lost_its_digits_at_large_shapes():
    """In float32 and at a = 10⁶ terms of 10⁷ cancel to a value of −7.8."""
    a = jnp.float32(1e6)
    plain = (a - 1) * jnp.log(a) - a - jax.lax.lgamma(a)
    truth = scipy.stats.gamma.logpdf(1e6, 1e6)
    assert abs(float(plain) - truth) > 0.1
    assert abs(float(log_prob(a, a, jnp.float32(1))) - truth) < 1e-5


def test_zero_infinity_and_what_is_outside(x64):
    zero, inf = 0.0, np.inf
    x = np.array([zero, zero, zero, -1, -1e-300, inf, -inf, np.nan, 2, 2])
    a = np.array([0.5, 1, 2, 2, 0.5, 2, 2, 2, np.nan, -1])
    expected = [inf, np.log(3), -inf, -inf, -inf, -inf, -inf, np.nan, np.nan, np.nan]
    args = jnp.asarray(x), jnp.asarray(a), jnp.full(10, 3.0)
    np.testing.assert_allclose(log_prob(*args), expected, rtol=1e-15)
    by_x, by_a, by_b = slopes(*args)
    np.testing.assert_array_equal(by_x[:7], [0, -3, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(by_a[:7], 0)
    np.testing.assert_allclose(by_b[:7], [0, 1 / 3, 0, 0, 0, 0, 0])
    log_x = jnp.asarray([-inf, -inf, -inf, inf, np.nan])
    args = log_x, jnp.asarray([0.5, 1, 2, 2, 2]), jnp.full(5, 3.0)
    expected = [inf, np.log(3), -inf, -inf, np.nan]
    np.testing.assert_allclose(log_prob_of_log(*args), expected, rtol=1e-15)
    assert not np.isnan(np.asarray(slopes_of_log(*args))[:, :4]).any()


def test_products_that_leave_the_range_of_floats():
    """bx underflows: in float32 both factors are ordinary numbers."""
    args = jnp.float32(1e-25), jnp.float32(0.5), jnp.float32(1e-20)
    truth = 0.5 * np.log(1e-20) - 0.5 * np.log(1e-25) - 0.5 * np.log(np.pi)
    np.testing.assert_allclose(log_prob(*args), truth, rtol=1e-6)
    log_x = jnp.float32(-1e4)
    truth = 0.01 * np.log(3) + 0.99e4 - scipy.special.gammaln(0.01)
    np.testing.assert_allclose(
        log_prob_of_log(log_x, jnp.float32(0.01), jnp.float32(3)), truth, 1e-6
    )
    assert log_prob(jnp.float32(1e30), jnp.float32(0.5), jnp.float32(1e20)) == -np.inf


def test_moments_and_entropy_by_quadrature(x64):
    for a, b in ((0.7, 2.0), (1.0, 0.3), (4.5, 10.0), (60.0, 1.0)):
        law = scipy.stats.gamma(a, scale=1 / b)
        y = np.linspace(-50, 6, 4001) + np.log(a / b)  # smooth and 0 at both ends: trapezoids
        full = np.full_like(y, a), np.full_like(y, b)
        log_p = np.asarray(log_prob_of_log(jnp.asarray(y), *map(jnp.asarray, full)))
        p = np.exp(log_p + y) * (y[1] - y[0])
        x = np.exp(y)
        args = jnp.float64(a), jnp.float64(b)
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-9)
        np.testing.assert_allclose(p @ x, gamma.mean(*args), rtol=1e-9)
        np.testing.assert_allclose(p @ (x - a / b) ** 2, gamma.variance(*args), rtol=1e-9)
        np.testing.assert_allclose(-(p @ log_p), entropy(*args), rtol=1e-9)
        np.testing.assert_allclose(law.entropy(), entropy(*args), rtol=1e-12)
        other = full[0] * 1.7, full[1] * 0.6
        log_q = np.asarray(log_prob_of_log(jnp.asarray(y), *map(jnp.asarray, other)))
        divergence = kl_divergence(*args, *(jnp.float64(v[0]) for v in other))
        np.testing.assert_allclose(p @ (log_p - log_q), divergence, rtol=1e-8)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 2e-6), ("f8", 1e-14)])
def test_entropy_and_divergence_match_60_digits(dtype, tol, x64):
    a = np.repeat(SHAPES, 4).astype(dtype)
    c = (np.repeat(SHAPES, 4) * np.tile([1.0, 1.001, 0.3, 20.0], len(SHAPES))).astype(dtype)
    b, d = np.full_like(a, 3), np.full_like(a, 3.1)
    with mp.workdps(60):
        entropies, divergences = [], []
        for v in zip(a, b, c, d, strict=True):
            p, r, q, t = (mp.mpf(float(w)) for w in v)
            entropies.append(float(p - mp.log(r) + mp.loggamma(p) + (1 - p) * mp.digamma(p)))
            gap = mp.loggamma(q) - mp.loggamma(p) + (p - q) * mp.digamma(p)
            divergences.append(float(gap + q * mp.log(r / t) + p * (t - r) / r))
    a, b, c, d = map(jnp.asarray, (a, b, c, d))
    found = np.asarray(entropy(a, b), np.float64)
    error = np.abs(found - entropies) / (1 + np.abs(entropies))
    assert error.max() <= tol
    error = np.abs(np.asarray(kl_divergence(a, b, c, d), np.float64) - divergences)
    eps = np.finfo(dtype).eps
    sway = np.abs(np.asarray(a * d / b - c, np.float64)) * 2 * eps  # of rounding ad/b
    assert (error <= tol * (1 + np.abs(divergences)) + sway).all()


@pytest.mark.parametrize("a", [1e-3, 0.2, 1.0, 7.0, 1e5])
def test_draws_follow_the_law(a):
    """In log x, which does not underflow; `sample` is its exponential."""
    size = 20_000
    law = jnp.full(size, a), jnp.full(size, 4.0)
    x, log_x = sample(*law, jax.random.key(3)), sample_log(*law, jax.random.key(3))
    np.testing.assert_allclose(x, np.exp(log_x), rtol=3e-5, atol=1e-37)
    log_x = np.asarray(log_x, np.float64)
    assert np.isfinite(log_x).all()
    if a < 0.1:  # x is U^(1/a) to within a factor that tends to 1
        y = log_x + np.log(4)
        p = np.exp(np.minimum(a * y - scipy.special.gammaln(1 + a), 0))
        tail = y > -30
        p[tail] = scipy.special.gammainc(a, np.exp(y[tail]))
        assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3
    else:
        assert scipy.stats.kstest(np.exp(log_x), "gamma", (a, 0, 0.25)).pvalue > 1e-3


@jax.jit
def slope_of_draws(a, b, key):
    """a ∂ log x/∂a for every draw, and b ∂ log x/∂b."""

    def run(u, v):
        return gamma.sample_log(a * jnp.exp(u), b * jnp.exp(v), key)

    zero, one = jnp.zeros_like(a), jnp.ones_like(a)
    _, change = jax.linearize(run, zero, zero)
    return change(one, zero), change(zero, one)


@pytest.mark.parametrize("a", [1e-15, 0.3, 5.0, 3e4, 1e12])
def test_slopes_of_draws_have_the_mean_of_a_slope(a):
    """E ∂ log x/∂a = ψ′(a) for any shape, also where XLA's own slope has no digit left."""
    size = 20_000
    law = jnp.full(size, a), jnp.full(size, 4.0)
    by_a, by_b = (np.asarray(v, np.float64) for v in slope_of_draws(*law, jax.random.key(5)))
    truth = float(mp.mpf(a) * mp.polygamma(1, mp.mpf(a)))
    assert abs(by_a.mean() / truth - 1) < 5 * by_a.std() / truth / np.sqrt(size) + 1e-5
    np.testing.assert_allclose(by_b, -1, rtol=1e-6)
    by_x = jax.grad(lambda a: gamma.sample(a, jnp.float32(4), jax.random.key(5)))(jnp.float32(a))
    assert np.isfinite(by_x)


def test_slopes_of_draws_are_those_of_quantiles(x64):
    """∂x/∂a at one probability, by differences; both forms of the slope, either side of 10⁴."""
    for a, tol in ((1.5, 1e-5), (9000.0, 1e-6), (11_000.0, 1e-6)):
        law = jnp.full(20_000, a), jnp.full(20_000, 1.0)
        x = np.asarray(sample(*law, jax.random.key(1)))[:50]
        by_a = np.asarray(slope_of_draws(*law, jax.random.key(1))[0])[:50] * x / a
        below, h = scipy.special.gammainc(a, x), 1e-4 * a
        high, low = (scipy.special.gammaincinv(v, below) for v in (a + h, a - h))
        np.testing.assert_allclose(by_a, (high - low) / (2 * h), rtol=tol)
