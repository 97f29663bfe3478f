# SPDX-License-Identifier: Apache-2.0
"""Shares of classes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxml.probability import maximum_likelihood
from jaxml.probability.conjugate import beta_binomial
from jaxml.probability.conjugate import dirichlet_categorical as pair


def test_the_predictive_is_the_integral_and_sums_to_one(x64):
    """∫ θ_x p(θ) dθ over the simplex by Gauss-Legendre, exact for whole α; NaN for no class."""
    alpha = np.array([3.0, 2.0, 4.0])
    law = pair.Dirichlet(jnp.asarray(alpha))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    u, w = 0.5 * (nodes + 1), 0.5 * weights
    first, second = u[:, None] + 0 * u, (1 - u[:, None]) * u
    theta = np.stack([first, second, 1 - first - second])
    weight = w[:, None] * w * (1 - u[:, None])
    density = np.exp(scipy.stats.dirichlet(alpha).logpdf(theta.reshape(3, -1))).reshape(20, 20)
    assert (weight * density).sum() == pytest.approx(1)
    exact = (weight * density * theta).sum((1, 2))
    find = jax.jit(jax.vmap(pair.log_predictive, (None, 0)))
    found = np.exp(find(law, jnp.arange(-1, 4)))
    np.testing.assert_allclose(found[1:-1], exact, rtol=1e-12)
    np.testing.assert_allclose(found[1:-1].sum(), 1, rtol=1e-14)
    assert np.isnan(found[[0, -1]]).all()
    batch = pair.Dirichlet(jnp.asarray([alpha, alpha[::-1]]))
    both = pair.log_predictive(batch, jnp.asarray([0, 0], jnp.uint8))
    np.testing.assert_allclose(np.exp(both), [3 / 9, 4 / 9], rtol=1e-14)


def test_evidence_sums_to_one_over_all_sequences(x64):
    """Over 3^6 sequences; SciPy's counts have as many orders; two classes are a beta law."""
    law = pair.Dirichlet(jnp.array([0.7, 1.3, 2.0]))
    sequences = np.array(list(itertools.product(range(3), repeat=6)))
    counts = (sequences[:, :, None] == np.arange(3)).sum(1) * 1.0
    value = np.asarray(jax.jit(jax.vmap(pair.log_evidence, (None, 0)))(law, jnp.asarray(counts)))
    np.testing.assert_allclose(np.exp(value).sum(), 1, rtol=1e-13)
    unique = np.unique(counts, axis=0)
    expected = scipy.stats.dirichlet_multinomial([0.7, 1.3, 2.0], 6).logpmf(unique.astype(int))
    orders = scipy.special.gammaln(7) - scipy.special.gammaln(unique + 1).sum(-1)
    for row, orders_of_row, exact in zip(unique, orders, expected, strict=True):
        found = value[(counts == row).all(-1)]
        np.testing.assert_allclose(found, exact - orders_of_row, rtol=1e-12, atol=1e-13)
    two = pair.log_evidence(pair.Dirichlet(jnp.array([2.5, 1.3])), jnp.array([7.0, 2.0]))
    bits = jnp.asarray([1.0] * 7 + [0.0] * 2)
    beta = beta_binomial.Beta(jnp.float64(2.5), jnp.float64(1.3))
    other = beta_binomial.log_evidence(beta, bits, jnp.ones(9))
    np.testing.assert_allclose(two, other, rtol=1e-13)


def test_unseen_classes_and_modes(x64):
    """The estimate excludes what was not seen, the predictive does not; modes at edges are 0."""
    counts = jnp.array([5.0, 3.0, 0.0])
    after = pair.posterior(pair.Dirichlet(jnp.ones(3)), counts)
    np.testing.assert_allclose(
        np.exp(pair.log_predictive(after, jnp.asarray(2))), 1 / 11, rtol=1e-14
    )
    assert maximum_likelihood.categorical(counts)[2] == -jnp.inf
    mode = pair.maximum_a_posteriori(after)
    np.testing.assert_allclose(mode, np.exp(maximum_likelihood.categorical(counts)), rtol=1e-14)
    alpha = jnp.array([[3.0, 2.0, 0.5], [1.0, 1.0, 1.0], [0.2, 1.0, 1.5]])
    modes = pair.maximum_a_posteriori(pair.Dirichlet(alpha))
    np.testing.assert_allclose(modes, [[2 / 3, 1 / 3, 0], [np.nan] * 3, [0, 0, 1]], rtol=1e-15)
    edge = scipy.stats.dirichlet([3.0, 2.0, 1.0])
    best = edge.logpdf([2 / 3 - 1e-9, 1 / 3 - 1e-9, 2e-9])
    rng = np.random.default_rng(0)
    assert (edge.logpdf(rng.dirichlet(np.ones(3), 2000).T) < best).all()
