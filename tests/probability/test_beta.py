# SPDX-License-Identifier: Apache-2.0
"""The beta distribution against 60 digits, SciPy and quadrature, and as a quotient of gammas."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from jaxml.probability import beta

log_prob, log_prob_of_logit = map(jax.jit, (beta.log_prob, beta.log_prob_of_logit))
entropy, kl_divergence = map(jax.jit, (beta.entropy, beta.kl_divergence))
sample, sample_logit = map(jax.jit, (beta.sample, beta.sample_logit))
slopes = jax.jit(jax.grad(lambda *v: log_prob(*v).sum(), (0, 1, 2)))
slopes_of_logit = jax.jit(jax.grad(lambda *v: log_prob_of_logit(*v).sum(), (0, 1, 2)))
SHAPES = [1e-20, 1e-3, 0.5, 1.0, 2.5, 40.0, 3e4, 1e10]


def grid(dtype):
    """Logits at both ends, and within some standard deviations of the mode."""
    rows = []
    for a, b in itertools.product(SHAPES, SHAPES):
        width = np.sqrt(1 / a + 1 / b)
        near = np.log(a / b) + np.array([-5, -1, 0, 0.1, 3]) * min(width, 4)
        rows += [(v, a, b) for v in (*near, -60.0, -15.0, -1.0, 0.3, 9.0, 80.0)]
    return np.array(rows).T.astype(dtype)


def exact(log_x, log_rest, a, b):
    """log p and its slopes in the logit, a and b."""
    value = (a - 1) * log_x + (b - 1) * log_rest
    value -= mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    by_logit = (a - 1) * mp.exp(log_rest) - (b - 1) * mp.exp(log_x)
    both = mp.digamma(a + b)
    return value, by_logit, log_x + both - mp.digamma(a), log_rest + both - mp.digamma(b)


def check(ours, found, truth, place, a, b, tol):
    """Within tol of 1 + |·|, beside what rounding the place moves; slopes likewise."""
    eps = np.finfo(ours.dtype).eps
    value, by_place, by_a, by_b = truth
    a, b = a.astype(np.float64), b.astype(np.float64)
    error = np.abs(np.asarray(ours, np.float64) - value)
    assert (error <= tol * (1 + np.abs(value)) + np.abs(by_place) * place * eps).all()
    error = np.abs(np.asarray(found[0], np.float64) - by_place)
    assert (error <= (1 + np.minimum(a, 1e300) + b) * place * 8 * eps).all()
    for ours, exact, shape in ((found[1], by_a, a), (found[2], by_b, b)):
        error = np.abs(np.asarray(ours, np.float64) - exact)
        assert (error <= 10 * tol * (1 + np.abs(exact) + 1 / shape) + 10 * place * eps).all()


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_of_logits_matches_60_digits(dtype, tol, x64):
    logit, a, b = grid(dtype)
    rows = []
    with mp.workdps(60):
        for u, c, d in zip(logit, a, b, strict=True):
            u, c, d = (mp.mpf(float(v)) for v in (u, c, d))
            rows.append(exact(-mp.log1p(mp.exp(-u)), -mp.log1p(mp.exp(u)), c, d))
    truth = np.array(rows, dtype=np.float64).T
    args = tuple(map(jnp.asarray, (logit, a, b)))
    ours = log_prob_of_logit(*args)
    assert ours.dtype == dtype
    place = 2 + 2 * np.abs(logit.astype(np.float64))
    check(ours, slopes_of_logit(*args), truth, place, a, b, tol)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_matches_60_digits(dtype, tol, x64):
    logit, a, b = grid(dtype)
    x = (1 / (1 + np.exp(-logit.astype(np.float64)))).astype(dtype)
    keep = (x > np.finfo(dtype).tiny) & (x < 1)
    x, a, b = x[keep], a[keep], b[keep]
    rows = []
    with mp.workdps(60):
        for u, c, d in zip(x, a, b, strict=True):
            u, c, d = (mp.mpf(float(v)) for v in (u, c, d))
            rows.append(exact(mp.log(u), mp.log1p(-u), c, d))
    truth = np.array(rows, dtype=np.float64).T
    args = tuple(map(jnp.asarray, (x, a, b)))
    by_x, *by_shapes = slopes(*args)
    wide = x.astype(np.float64)
    by_logit = np.asarray(by_x, np.float64) * wide * (1 - wide)
    check(log_prob(*args), (by_logit, *by_shapes), truth, np.full_like(wide, 4), a, b, tol)


def test_the_ends_and_what_is_outside(x64):
    inf = np.inf
    x = jnp.array([0, 0, 0, 1, 1, 1, -0.1, 1.1, np.nan, 0.3])
    a = jnp.array([0.5, 1, 2, 3, 3, 3, 2, 2, 2, np.nan])
    b = jnp.array([3, 3, 3, 0.5, 1, 2, 2, 2, 2, 2.0])
    expected = [inf, np.log(3), -inf, inf, np.log(3), -inf, -inf, -inf, np.nan, np.nan]
    np.testing.assert_allclose(log_prob(x, a, b), expected, rtol=1e-14)
    found = np.asarray(slopes(x, a, b))[:, :8]
    assert not np.isnan(found).any()
    np.testing.assert_array_equal(found[:, 6:], 0)
    np.testing.assert_allclose(found[0, [1, 4]], [-2, 2], rtol=1e-14)
    logit = jnp.array([-inf, -inf, -inf, inf, inf, inf])
    np.testing.assert_allclose(log_prob_of_logit(logit, a[:6], b[:6]), expected[:6], rtol=1e-14)


def test_a_uniform_law_and_digits_next_to_one():
    x = jnp.array([0.0, 1e-20, 0.4, 1.0])
    one = jnp.ones(4)
    np.testing.assert_allclose(log_prob(x, one, one), 0, atol=1e-6)
    ours = log_prob_of_logit(jnp.float32(50), jnp.float32(1), jnp.float32(3))
    np.testing.assert_allclose(ours, np.log(3) - 2 * 50, rtol=1e-6)


def test_moments_entropy_and_divergence_by_quadrature(x64):
    """Over the logit, where the densities are smooth and vanish at both ends."""
    logit = np.linspace(-100, 100, 20_001)
    x = 1 / (1 + np.exp(-logit))
    turn = -np.logaddexp(0, logit) - np.logaddexp(0, -logit)
    for a, b in ((0.5, 0.7), (1.0, 1.0), (3.0, 0.6), (40.0, 9.0)):
        law, other = (a, b), (1.4 * a, 0.8 * b)
        log_p, log_q = (
            np.asarray(
                log_prob_of_logit(jnp.asarray(logit), *(jnp.full(len(logit), v) for v in each))
            )
            for each in (law, other)
        )
        p = np.exp(log_p + turn) * (logit[1] - logit[0])
        args, rest = (tuple(map(jnp.float64, each)) for each in (law, other))
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
        np.testing.assert_allclose(p @ x, beta.mean(*args), rtol=1e-11)
        np.testing.assert_allclose(p @ (x - a / (a + b)) ** 2, beta.variance(*args), rtol=1e-11)
        np.testing.assert_allclose(-(p @ log_p), entropy(*args), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(scipy.stats.beta.entropy(a, b), entropy(*args), atol=1e-12)
        np.testing.assert_allclose(p @ (log_p - log_q), kl_divergence(*args, *rest), rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 3e-6), ("f8", 1e-14)])
def test_entropy_and_divergence_match_60_digits(dtype, tol, x64):
    a, b = np.array(list(itertools.product(SHAPES, SHAPES))).T.astype(dtype)
    c, d = (a * np.array(1.3, dtype)), (b * np.array(0.6, dtype))
    entropies, divergences, scale = [], [], []
    with mp.workdps(60):
        for v in zip(a, b, c, d, strict=True):
            p, q, r, t = (mp.mpf(float(w)) for w in v)
            psi, both = mp.digamma, mp.digamma(p + q)
            log_b = lambda p, q: mp.loggamma(p) + mp.loggamma(q) - mp.loggamma(p + q)  # noqa: E731
            value = log_b(p, q) - (p - 1) * psi(p) - (q - 1) * psi(q) + (p + q - 2) * both
            entropies.append(float(value))
            scale.append(float(1 + abs(value)))
            value = log_b(r, t) - log_b(p, q) + (p - r) * (psi(p) - both)
            divergences.append(float(value + (q - t) * (psi(q) - both)))
    args = tuple(map(jnp.asarray, (a, b, c, d)))
    error = np.abs(np.asarray(entropy(*args[:2]), np.float64) - entropies)
    assert (error <= tol * np.array(scale)).all()
    error = np.abs(np.asarray(kl_divergence(*args), np.float64) - divergences)
    assert (error <= tol * (1 + np.abs(divergences))).all()


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.2), (1.0, 3.0), (50.0, 4.0)])
def test_draws_follow_the_law(a, b):
    size = 20_000
    law = jnp.full(size, a), jnp.full(size, b)
    x, logit = sample(*law, jax.random.key(2)), sample_logit(*law, jax.random.key(2))
    np.testing.assert_array_equal(x, jax.nn.sigmoid(logit))
    logit = np.asarray(logit, np.float64)  # x itself rounds to 1 for a share of draws
    down, up = (1 / (1 + np.exp(v)) for v in (-logit, logit))
    p = np.where(logit < 0, scipy.stats.beta.cdf(down, a, b), scipy.stats.beta.sf(up, b, a))
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3


def test_draws_of_tiny_shapes_are_finite_logits():
    """Nearly all at an end, at 1 with probability a/(a + b)."""
    law = jnp.full(20_000, 1e-10), jnp.full(20_000, 3e-10)
    logit = np.asarray(sample_logit(*law, jax.random.key(4)))
    assert np.isfinite(logit).all()
    assert scipy.stats.binomtest(int((logit > 0).sum()), 20_000, 0.25).pvalue > 1e-3


def test_slopes_of_draws_have_the_mean_of_a_slope():
    """∂E x/∂a = b/(a + b)² and ∂E x/∂b = −a/(a + b)², for shapes on both sides of 1."""
    size = 20_000

    @jax.jit
    def found(a, b):
        return jax.grad(lambda *law: sample(*law, jax.random.key(6)).sum(), (0, 1))(a, b)

    for a, b in ((0.3, 0.6), (4.0, 0.5)):
        truth = b / (a + b) ** 2, -a / (a + b) ** 2
        for slope, exact in zip(found(jnp.full(size, a), jnp.full(size, b)), truth, strict=True):
            slope = np.asarray(slope, np.float64)
            assert abs(slope.mean() - exact) < 4 * slope.std() / np.sqrt(size)
