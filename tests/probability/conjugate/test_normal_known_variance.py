# SPDX-License-Identifier: Apache-2.0
"""The mean of normal draws of known variance."""

import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.stats

from jaxml.probability import maximum_likelihood, normal
from jaxml.probability.conjugate import normal_known_variance as pair

X = np.random.default_rng(0).normal(3, 2, size=(7, 2))
LAW = (np.array([0.5, -1.0]), np.array([0.8, 3.0]))
NOISE = np.array([0.3, 1.2])


def test_posterior_and_evidence_are_those_of_one_joint_normal(x64):
    """(μ, x_1, …, x_n) is normal: its conditional and marginal by linear algebra, as is a new x."""
    law = pair.Normal(*map(jnp.asarray, LAW))
    noise = jnp.asarray(NOISE)
    after = pair.posterior(law, jnp.asarray(X), noise)
    evidence = pair.log_evidence(law, jnp.asarray(X), noise)
    new = jnp.asarray([2.0, -3.0])
    predictive = pair.log_predictive(after, new, noise)
    for i in range(2):
        prior = np.exp(LAW[1][i])
        joint = np.full((8, 8), prior) + np.exp(NOISE[i]) * np.diag([0.0] + [1.0] * 7)
        gain = np.linalg.solve(joint[1:, 1:], joint[1:, 0])
        mean = LAW[0][i] + gain @ (X[:, i] - LAW[0][i])
        variance = prior - gain @ joint[1:, 0]
        np.testing.assert_allclose(after.mean[i], mean, rtol=1e-12)
        np.testing.assert_allclose(np.exp(after.log_variance[i]), variance, rtol=1e-12)
        marginal = scipy.stats.multivariate_normal(np.full(7, LAW[0][i]), joint[1:, 1:])
        np.testing.assert_allclose(evidence[i], marginal.logpdf(X[:, i]), rtol=1e-12)
        spread = np.sqrt(variance + np.exp(NOISE[i]))
        np.testing.assert_allclose(
            predictive[i], scipy.stats.norm.logpdf(new[i], mean, spread), rtol=1e-12
        )


def test_the_predictive_is_the_integral_and_not_the_density_at_an_estimate(x64):
    """∫ N(x; μ, e^ℓ) p(μ|X) dμ by quadrature, of total 1; plugging in μ̂ costs what μ̂ does not know.

    With two draws of variance 1 and a flat prior, the plugged-in density has variance 1, the
    predictive 3/2; 3 away from the mean they differ by 1.3 nats.
    """
    law = pair.Normal(jnp.float64(0.0), jnp.float64(40.0))
    x, zero = jnp.array([1.0, 3.0]), jnp.float64(0.0)
    after = pair.posterior(law, x, zero)
    spread = np.exp(0.5 * after.log_variance)

    def integrand(mu, at):
        of_mean = scipy.stats.norm.pdf(mu, float(after.mean), float(spread))
        return scipy.stats.norm.pdf(at, mu, 1) * of_mean

    for at in (2.0, 0.3, 5.0):
        exact, _ = scipy.integrate.quad(integrand, -10, 14, args=(at,), epsabs=1e-14, epsrel=1e-12)
        found = np.exp(pair.log_predictive(after, jnp.asarray(at), zero))
        np.testing.assert_allclose(found, exact, rtol=1e-10)
    grid = jnp.linspace(-30, 34, 4001)
    density = np.exp(pair.log_predictive(after, grid, zero))
    np.testing.assert_allclose(scipy.integrate.trapezoid(density, grid), 1, rtol=1e-12)
    estimate = maximum_likelihood.normal(x).mean
    np.testing.assert_allclose(estimate, pair.maximum_a_posteriori(after), rtol=1e-15)
    at = jnp.asarray(5.0)
    plugged = normal.log_prob(at, estimate, zero)
    gap = pair.log_predictive(after, at, zero) - plugged
    np.testing.assert_allclose(gap, -0.5 * np.log(1.5) - 3 + 4.5, rtol=1e-12)


def test_extreme_variances_keep_their_digits():
    """A prior of variance e^±60 in float32: no knowledge, and no doubt."""
    x, zero = jnp.array([1.0, 2.0, 6.0]), jnp.float32(0)
    vague = pair.posterior(pair.Normal(zero, jnp.float32(60)), x, zero)
    np.testing.assert_allclose(vague, [3.0, -np.log(3)], rtol=1e-6)
    sure = pair.posterior(pair.Normal(zero, jnp.float32(-60)), x, zero)
    # Sums near −60 are rounded to 4e-6 before they are exponents.
    np.testing.assert_allclose(sure, [9 * np.exp(-60), -60], rtol=4e-6)
