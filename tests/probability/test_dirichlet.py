# SPDX-License-Identifier: Apache-2.0
"""The Dirichlet distribution against 60 digits, SciPy, quadrature and the beta of two classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import beta, dirichlet

log_prob, log_prob_of_logits = map(jax.jit, (dirichlet.log_prob, dirichlet.log_prob_of_logits))
entropy, kl_divergence = map(jax.jit, (dirichlet.entropy, dirichlet.kl_divergence))
sample, sample_log = map(jax.jit, (dirichlet.sample, dirichlet.sample_log))
slopes = jax.jit(jax.grad(lambda *v: log_prob(*v).sum(), (0, 1)))
slopes_of_logits = jax.jit(jax.grad(lambda *v: log_prob_of_logits(*v).sum(), (0, 1)))
LAWS = np.array(
    [
        [1, 1, 1, 1],
        [0.5, 1, 3, 20],
        [1e-6, 1e-3, 1e-5, 1e-4],
        [1e-3, 1, 50, 1e7],
        [1e6, 2e6, 1e5, 3e6],
        [1e9, 1e-9, 2, 0.1],
        [0.1, 0.1, 30, 0.2],
    ]
)


def grid(dtype):
    """Logits of the mean, near it and far from it."""
    rng = np.random.default_rng(0)
    a = np.repeat(LAWS, 12, axis=0)
    spread = np.tile([0, 1e-4, 1e-2, 0.3, 2, 20], 14)[:, None]
    logits = np.log(a) + spread * rng.normal(size=a.shape)
    return logits.astype(dtype), a.astype(dtype)


def exact(log_x, a):
    """log p, its slope in the logits, and in α."""
    total, k = sum(a), len(a)
    value = mp.loggamma(total) + sum(
        (b - 1) * u - mp.loggamma(b) for u, b in zip(log_x, a, strict=True)
    )
    by_logits = [b - 1 - (total - k) * mp.exp(u) for u, b in zip(log_x, a, strict=True)]
    by_a = [u - mp.digamma(b) + mp.digamma(total) for u, b in zip(log_x, a, strict=True)]
    return value, *by_logits, *by_a


def truth(rows, a, of_logits):
    with mp.workdps(60):
        found = []
        for u, b in zip(rows, a, strict=True):
            u, b = ([mp.mpf(float(v)) for v in each] for each in (u, b))
            weights = [mp.exp(v) for v in u] if of_logits else u
            whole = sum(weights)
            found.append(exact([mp.log(v / whole) for v in weights], b))
        found = np.array(found, dtype=np.float64)
    return found[:, 0], found[:, 1:5], found[:, 5:]


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_log_prob_matches_60_digits(dtype, tol, x64):
    """Beside what rounding logits or x would change; x is taken over its sum, which rounds."""
    logits, a = grid(dtype)
    eps = np.finfo(dtype).eps
    p = scipy.special.softmax(logits.astype(np.float64), axis=1).astype(dtype)
    keep = (p > np.finfo(dtype).tiny).all(1)
    for of_logits in (True, False):
        u, b = (logits, a) if of_logits else (p[keep], a[keep])
        value, by_logits, by_a = truth(u, b, of_logits)
        args = jnp.asarray(u), jnp.asarray(b)
        ours = (log_prob_of_logits if of_logits else log_prob)(*args)
        assert ours.dtype == dtype
        wide = np.abs(u.astype(np.float64))
        place = 2 + 2 * wide + 2 * wide.max(1, keepdims=True) if of_logits else np.full(u.shape, 4)
        turned = (np.abs(by_logits) * place).sum(1) * eps
        error = np.abs(np.asarray(ours, np.float64) - value)
        assert (error <= tol * (1 + np.abs(value)) + turned).all()
        found = slopes_of_logits(*args) if of_logits else slopes(*args)
        found = [np.asarray(v, np.float64) for v in found]
        if not of_logits:  # along the simplex
            x = u.astype(np.float64)
            x = x / x.sum(1, keepdims=True)
            found[0] = x * (found[0] - (x * found[0]).sum(1, keepdims=True))
        scale = (4 + b.astype(np.float64).sum(1, keepdims=True)) * place
        assert (np.abs(found[0] - by_logits) <= 8 * eps * scale).all()
        size = 1 + np.abs(by_a) + 1 / b.astype(np.float64)
        assert (np.abs(found[1] - by_a) <= 10 * tol * size + 10 * eps * place).all()


def test_logits_may_have_any_constant(x64):
    logits, a = map(jnp.asarray, grid("f8"))
    ours = log_prob_of_logits(logits + 5, a)
    np.testing.assert_allclose(ours, log_prob_of_logits(logits, a), rtol=1e-8, atol=1e-11)


def test_two_classes_are_beta(x64):
    x, a = jnp.array([0.02, 0.4, 0.9]), jnp.array([0.3, 2.0, 40.0])
    b = a[::-1]
    pair, law, other = (jnp.stack(v, -1) for v in ((x, 1 - x), (a, b), (2 * a, b)))
    np.testing.assert_allclose(log_prob(pair, law), beta.log_prob(x, a, b), rtol=1e-13)
    np.testing.assert_allclose(entropy(law), beta.entropy(a, b), rtol=1e-12, atol=1e-13)
    divergence = beta.kl_divergence(a, b, 2 * a, b)
    np.testing.assert_allclose(kl_divergence(law, other), divergence, rtol=1e-12)
    np.testing.assert_allclose(dirichlet.mean(law)[:, 0], beta.mean(a, b), rtol=1e-14)
    np.testing.assert_allclose(dirichlet.variance(law)[:, 0], beta.variance(a, b), rtol=1e-13)


def test_edges_and_what_is_outside(x64):
    inf = np.inf
    x = [[0, 0.5, 0.5, 0]] * 3 + [[0.5, 0.7, -0.2, 0], [0.3, 0.3, 0.3, 0.3], [np.nan, 0.5, 0.5, 0]]
    a = [[1, 2, 3, 1], [0.5, 2, 3, 1], [1, 2, 3, 1.5]] + [[2.0, 2, 2, 2]] * 3
    args = jnp.asarray(x), jnp.asarray(a)
    inside = np.log(scipy.special.gamma(7) / 2 * 0.5**3)
    expected = [inside, inf, -inf, -inf, -inf, np.nan]
    np.testing.assert_allclose(log_prob(*args), expected, rtol=1e-14)
    by_x, by_a = slopes(*args)
    assert np.isfinite(np.asarray(by_x)[:5]).all()
    assert np.isfinite(np.asarray(by_a)[:5]).all()
    np.testing.assert_array_equal(np.asarray(by_x)[3:5], 0)
    with np.errstate(divide="ignore"):
        logits = np.log(np.maximum(x[:3], 0))
    np.testing.assert_allclose(log_prob_of_logits(jnp.asarray(logits), args[1][:3]), expected[:3])
    clash = log_prob(jnp.array([[0, 0, 0.5, 0.5]]), jnp.array([[0.5, 2, 1, 1]]))
    assert np.isnan(clash).all()


def test_moments_entropy_and_divergence_by_quadrature(x64):
    """Three classes: the simplex in logits, where densities are smooth and vanish far out."""
    one = np.linspace(-80, 80, 801)
    u, v = (w.ravel() for w in np.meshgrid(one, one))
    logits = np.stack([u, v, np.zeros_like(u)], axis=1)
    log_x = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
    x, width = np.exp(log_x), (one[1] - one[0]) ** 2
    a, b = jnp.array([0.8, 2.0, 1.3]), jnp.array([1.2, 0.9, 2.5])
    log_p, log_q = (
        np.asarray(log_prob_of_logits(jnp.asarray(logits), jnp.broadcast_to(law, logits.shape)))
        for law in (a, b)
    )
    p = np.exp(log_p + log_x.sum(1)) * width
    mean = np.asarray(dirichlet.mean(a))
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-10)
    np.testing.assert_allclose(p @ x, mean, rtol=1e-10)
    covariance = np.einsum("n,ni,nj->ij", p, x - mean, x - mean)
    np.testing.assert_allclose(dirichlet.covariance(a), covariance, rtol=1e-9)
    np.testing.assert_allclose(dirichlet.variance(a), np.diag(covariance), rtol=1e-9)
    np.testing.assert_allclose(-(p @ log_p), entropy(a), rtol=1e-9)
    np.testing.assert_allclose(p @ (log_p - log_q), kl_divergence(a, b), rtol=1e-8)
    np.testing.assert_allclose(entropy(a), scipy.stats.dirichlet.entropy(a), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 3e-6), ("f8", 1e-14)])
def test_entropy_and_divergence_match_60_digits(dtype, tol, x64):
    a = LAWS.astype(dtype)
    b = a * np.array([1.2, 0.9, 1.01, 2], dtype)
    entropies, divergences = [], []
    with mp.workdps(60):
        psi, log_gamma = mp.digamma, mp.loggamma
        for p, q in zip(a, b, strict=True):
            p, q = ([mp.mpf(float(v)) for v in each] for each in (p, q))
            s, t = sum(p), sum(q)
            value = sum(log_gamma(v) - (v - 1) * psi(v) for v in p)
            entropies.append(float(value - log_gamma(s) + (s - 4) * psi(s)))
            value = sum(
                log_gamma(w) - log_gamma(v) + (v - w) * (psi(v) - psi(s))
                for v, w in zip(p, q, strict=True)
            )
            divergences.append(float(value + log_gamma(s) - log_gamma(t)))
    a, b = jnp.asarray(a), jnp.asarray(b)
    for ours, value in ((entropy(a), entropies), (kl_divergence(a, b), divergences)):
        value = np.array(value)
        assert (np.abs(np.asarray(ours, np.float64) - value) <= tol * (1 + np.abs(value))).all()
    assert (np.abs(kl_divergence(a, a)) <= tol).all()


def test_draws_follow_the_law():
    """Each coordinate is beta; log x is finite for tiny concentrations and adds up to 1."""
    size = 20_000
    a = np.array([0.3, 2.0, 0.8, 5.0], np.float32)
    law = jnp.broadcast_to(a, (size, 4))
    x, log_x = sample(law, jax.random.key(1)), sample_log(law, jax.random.key(1))
    np.testing.assert_allclose(x, np.exp(log_x), rtol=1e-5)
    x = np.asarray(x, np.float64)
    np.testing.assert_allclose(x.sum(1), 1, rtol=1e-5)
    for k in range(4):
        assert scipy.stats.kstest(x[:, k], "beta", (a[k], a.sum() - a[k])).pvalue > 1e-3
    covariance = np.asarray(dirichlet.covariance(jnp.asarray(a)))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=1e-3)
    tiny = jnp.broadcast_to(jnp.array([1e-8, 2e-8, 1e-8, 0.0]) + 1e-10, (size, 4))
    log_x = np.asarray(sample_log(tiny, jax.random.key(2)))
    assert np.isfinite(log_x).all()
    np.testing.assert_allclose(np.exp(log_x).sum(1), 1, rtol=1e-5)
    assert scipy.stats.binomtest(int((log_x[:, 1] > -1).sum()), size, 2.01 / 4.04).pvalue > 1e-3


def test_slopes_of_draws_have_the_mean_of_a_slope():
    """∂E x_0/∂α = (1 − p_0, −p_0, …)/s, and E ∂x_0/∂α is that."""
    size = 20_000
    a = jnp.broadcast_to(jnp.array([0.3, 2.0, 0.8, 5.0]), (size, 4))
    found = jax.jit(jax.grad(lambda a: sample(a, jax.random.key(3))[:, 0].sum()))(a)
    found = np.asarray(found, np.float64)
    truth = (np.array([1, 0, 0, 0]) - 0.3 / 8.1) / 8.1
    assert (np.abs(found.mean(0) - truth) < 4 * found.std(0) / np.sqrt(size)).all()
