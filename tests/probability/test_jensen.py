# SPDX-License-Identifier: Apache-2.0
"""Jensen's inequality where its gap has another name."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.probability import divergence
from jaxml.probability.jensen import jensen_gap

RNG = np.random.default_rng(3)


def test_the_gap_of_a_square_is_the_variance(x64):
    """E x² − (E x)² with weights and without; of |x|² of vectors the trace of the covariance."""
    x, w = RNG.normal(size=(7, 3)), RNG.dirichlet(np.ones(7))
    gap = jensen_gap(jnp.square, jnp.asarray(x[:, 0]), jnp.asarray(5 * w))
    np.testing.assert_allclose(gap, np.cov(x[:, 0], aweights=w, ddof=0), rtol=1e-13)
    np.testing.assert_allclose(jensen_gap(jnp.square, jnp.asarray(x[:, 0])), x[:, 0].var())
    trace = np.trace(np.cov(x.T, aweights=w, ddof=0))
    gap = jensen_gap(lambda v: v @ v, jnp.asarray(x), jnp.asarray(w))
    np.testing.assert_allclose(gap, trace, rtol=1e-13)


def test_the_inequality_and_its_equality(x64):
    """Convex functions have gaps ≥ 0, concave ones ≤ 0, linear ones and constants none."""
    x = jnp.asarray(np.exp(RNG.normal(size=(50, 6))))
    w = jnp.asarray(RNG.dirichlet(np.ones(6), size=50))

    def gaps(phi):
        return np.asarray(jax.jit(jax.vmap(lambda x, w: jensen_gap(phi, x, w)))(x, w))

    for convex in (jnp.exp, lambda t: -jnp.log(t), lambda t: t * jnp.log(t), lambda t: 1 / t):
        assert (gaps(convex) > 0).all()
    for concave in (jnp.log, jnp.sqrt):
        assert (gaps(concave) < 0).all()
    assert (gaps(lambda t: jnp.abs(t - 1)) >= -1e-16).all()  # bent at one point only
    assert np.abs(gaps(lambda t: 3 * t - 2)).max() < 1e-14
    assert jensen_gap(jnp.exp, jnp.full(4, 0.3)) == 0


def test_divergences_are_gaps(x64):
    """Of t log t at p/q under q: KL; of (t − 1)²: χ²; of −H at p and q: Jensen-Shannon."""
    p, q = jnp.asarray(RNG.dirichlet(np.ones(5), size=2))
    kl = jensen_gap(lambda t: t * jnp.log(t), p / q, q)
    np.testing.assert_allclose(kl, divergence.kl_divergence(p, q), rtol=1e-13)
    square = jensen_gap(lambda t: jnp.square(t - 1), p / q, q)
    np.testing.assert_allclose(square, divergence.chi_squared(p, q), rtol=1e-13)
    shared = jensen_gap(lambda p: -jnp.sum(jax.scipy.special.entr(p)), jnp.stack([p, q]))
    np.testing.assert_allclose(shared, divergence.jensen_shannon(p, q), rtol=1e-13)


def test_more_weights_under_the_logarithm_leave_a_smaller_gap(x64):
    """log E w − E log mean of K draws, over all draws of a weight with three values.

    By enumeration of all 3^K; it falls with K, and like Var(w)/(2K (E w)²) in the end.
    """
    w, prob = np.array([0.2, 1.0, 3.0]), np.array([0.3, 0.5, 0.2])
    gaps = []
    for k in range(1, 8):
        index = np.stack(np.meshgrid(*[range(3)] * k, indexing="ij")).reshape(k, -1)
        means, chance = jnp.asarray(w[index].mean(0)), jnp.asarray(prob[index].prod(0))
        gaps.append(float(jensen_gap(lambda t: -jnp.log(t), means, chance)))
    assert (np.diff(gaps) < 0).all()
    mean = w @ prob
    limit = (w**2 @ prob - mean**2) / (2 * mean**2)
    assert abs(7 * gaps[-1] / limit - 1) < 0.1
    assert abs(gaps[0] / limit - 1) > 0.1
    np.testing.assert_allclose(gaps[0], np.log(mean) - prob @ np.log(w), rtol=1e-13)


def test_a_small_gap_keeps_its_digits():
    """In float32, around x = 1 with spread 1e-2: the variance of exp is e² of that of x, halved."""
    x = 1 + 1e-2 * np.linspace(-1, 1, 101)
    gap = jensen_gap(jnp.exp, jnp.asarray(x, jnp.float32))
    x = np.asarray(jnp.asarray(x, jnp.float32), np.float64)
    exact = np.exp(x).mean() - np.exp(x.mean())
    np.testing.assert_allclose(gap, exact, rtol=2e-3)
    assert exact < 1e-4
