# SPDX-License-Identifier: Apache-2.0
"""Mean and covariance of normal draws, both unknown."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxml.probability.conjugate import normal_inverse_gamma
from jaxml.probability.conjugate import normal_inverse_wishart as pair

RNG = np.random.default_rng(0)
D = 3
FACTOR = RNG.normal(size=(D, D)) + 2 * np.eye(D)
X = RNG.normal(size=(8, D)) @ FACTOR + 1


def prior(freedom=4.5, draws=0.8):
    return pair.NormalInverseWishart(
        jnp.array([0.5, 0.0, -1.0]), jnp.float64(draws), jnp.float64(freedom),
        jnp.asarray(FACTOR @ FACTOR.T))  # fmt: skip


def test_the_predictive_is_students_t(x64):
    """SciPy's multivariate t of ν − d + 1 degrees, near and far."""
    after = pair.posterior(prior(), jnp.asarray(X))
    mean, draws, freedom, scale = (np.asarray(v) for v in after)
    f = float(freedom) - D + 1
    law = scipy.stats.multivariate_t(mean, scale * (draws + 1) / (draws * f), df=f)
    at = mean + RNG.normal(size=(50, D)) * np.geomspace(0.1, 1e3, 50)[:, None]
    found = jax.jit(jax.vmap(pair.log_predictive, (None, 0)))(after, jnp.asarray(at))
    np.testing.assert_allclose(found, law.logpdf(at), rtol=1e-11)


def test_one_dimension_is_the_normal_inverse_gamma_law(x64):
    """With a = ν/2 and b = Ψ/2: posterior, evidence and both modes."""
    x = jnp.asarray(X[:, :1])
    law = pair.NormalInverseWishart(
        jnp.array([0.5]), jnp.float64(1.3), jnp.float64(2.4), jnp.array([[3.0]])
    )
    other = normal_inverse_gamma.NormalInverseGamma(
        *(jnp.asarray([v], jnp.float64) for v in (0.5, 1.3, 1.2, 1.5))
    )
    found, expected = pair.posterior(law, x), normal_inverse_gamma.posterior(other, x)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-14)
    np.testing.assert_allclose(found.freedom, 2 * expected.shape[0], rtol=1e-14)
    np.testing.assert_allclose(found.scale[0], 2 * expected.scale, rtol=1e-13)
    evidence = normal_inverse_gamma.log_evidence(other, x)[0]
    np.testing.assert_allclose(pair.log_evidence(law, x), evidence, rtol=1e-13)
    modes = normal_inverse_gamma.maximum_a_posteriori(expected).variance
    np.testing.assert_allclose(pair.maximum_a_posteriori(found).covariance[0], modes, rtol=1e-13)


def test_a_sure_prior_is_a_normal_law(x64):
    """Ψ = νΣ with ν → ∞: draws from N(m, Σ(1 + 1/κ)), with an error of 1/ν."""
    sigma = FACTOR @ FACTOR.T
    x = jnp.asarray(X)
    mean = np.tile(np.asarray(prior().mean), 8)
    joint = np.kron(np.eye(8) + 1 / 0.8, sigma)
    limit = scipy.stats.multivariate_normal(mean, joint).logpdf(X.ravel())
    off = []
    for freedom in (1e6, 1e9, 1e12):
        law = prior(freedom)._replace(scale=jnp.asarray(freedom * sigma))
        off.append(abs(float(pair.log_evidence(law, x)) - limit))
    assert off[0] < 1e-3
    assert off[1] < 1.1e-3 * off[0]
    assert off[2] < 1e-11 * abs(limit)
