# SPDX-License-Identifier: Apache-2.0
"""The multinomial distribution against SciPy, enumeration, and the binomial of two classes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from mpmath import mp

from jaxml.probability import binomial, multinomial

LOGITS = np.array([0.4, -1.2, 1.0, -np.inf])
P = scipy.special.softmax(LOGITS)
EVERY = np.array([c for c in itertools.product(range(7), repeat=3) if sum(c) == 6])
EVERY = np.pad(EVERY, [(0, 0), (0, 1)]).astype(float)
log_prob = jax.jit(multinomial.log_prob)


def law(rows):
    return jnp.asarray(np.tile(LOGITS, (rows, 1)))


def test_all_counts_of_six_draws(x64):
    """Each as SciPy says, together 1, with the moments."""
    found = np.exp(log_prob(jnp.asarray(EVERY), law(len(EVERY))))
    expected = scipy.stats.multinomial.pmf(EVERY[:, :3], 6, P[:3])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-13)
    n, logits = jnp.float64(6), jnp.asarray(LOGITS)
    mean = np.asarray(multinomial.mean(n, logits))
    np.testing.assert_allclose(found @ EVERY, mean, rtol=1e-12)
    gap = EVERY - mean
    covariance = np.einsum("n,ni,nj->ij", found, gap, gap)
    np.testing.assert_allclose(multinomial.covariance(n, logits), covariance, atol=1e-12)


def test_the_slope_is_counts_less_means(x64):
    counts = jnp.asarray(EVERY[:5])
    slope = jax.jit(jax.grad(lambda a: log_prob(counts, a).sum()))(law(5))
    np.testing.assert_allclose(slope, EVERY[:5] - 6 * P, atol=1e-13)


def test_millions_of_draws_keep_their_digits():
    """In float32, against 60 digits: the printed form subtracts numbers of the size of 10⁷."""
    counts, logits = np.array([4e5, 1e5, 7e5]), np.array([0.4, -1.2, 1.0], np.float32)
    with mp.workdps(60):
        weight = [mp.exp(mp.mpf(float(a))) for a in logits]
        terms = [
            mp.mpf(c) * mp.log(w / sum(weight)) - mp.loggamma(mp.mpf(c) + 1)
            for c, w in zip(counts, weight, strict=True)
        ]
        exact = float(mp.loggamma(mp.mpf(counts.sum()) + 1) + sum(terms))
    found = log_prob(jnp.asarray(counts, jnp.float32), jnp.asarray(logits))
    np.testing.assert_allclose(found, exact, rtol=2e-6)


def test_two_classes_are_binomial(x64):
    y, n = jnp.arange(9.0), jnp.full(9, 8.0)
    counts = jnp.stack([y, n - y], axis=1)
    logits = jnp.tile(jnp.array([[0.7, -0.2]]), (9, 1))
    both = log_prob(counts, logits), binomial.log_prob(y, n, jnp.full(9, 0.9))
    np.testing.assert_allclose(*both, rtol=1e-12)


def test_what_cannot_be():
    """A negative count, and one of a class that is excluded."""
    counts = jnp.array([[2.0, -1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(log_prob(counts, law(2).astype(jnp.float32)), -np.inf)


def test_draws_follow_the_law():
    size = 20_000
    n, logits = jnp.full(size, 6.0), jnp.broadcast_to(jnp.asarray(LOGITS, jnp.float32), (size, 4))
    counts = np.asarray(jax.jit(multinomial.sample)(n, logits, jax.random.key(0)))
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts.sum(1), 6)
    np.testing.assert_array_equal(counts[:, 3], 0)
    place = {tuple(c): i for i, c in enumerate(EVERY)}
    seen = np.bincount([place[tuple(c)] for c in counts], minlength=len(EVERY))
    p = scipy.stats.multinomial.pmf(EVERY[:, :3], 6, P[:3])
    often = size * p >= 5
    observed, expected = (np.append(v[often], v[~often].sum()) for v in (seen, size * p))
    expected = expected / expected.sum() * size
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3
