# SPDX-License-Identifier: Apache-2.0
"""Mean and variance of normal draws, both unknown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mpmath import mp

from jaxml.probability import maximum_likelihood, normal
from jaxml.probability.conjugate import normal_inverse_gamma as pair
from jaxml.probability.conjugate import normal_known_variance

X = np.random.default_rng(0).normal(3, 2, size=7)


def prior(*values):
    return pair.NormalInverseGamma(*(jnp.asarray(v, jnp.float64) for v in values))


def test_the_predictive_is_students_t_and_the_integral(x64):
    """SciPy's t of 2a degrees; ∫∫ N(x; μ, σ²) p(μ, σ²|X) dμ dσ² on a grid; of total 1."""
    after = pair.posterior(prior(0.5, 1.7, 2.2, 3.1), jnp.asarray(X))
    m, kappa, a, b = (float(v) for v in after)
    scale = np.sqrt(b * (kappa + 1) / (a * kappa))
    grid = jnp.asarray(m + scale * np.sinh(np.linspace(-12, 12, 1201)))
    found = np.asarray(jax.jit(pair.log_predictive)(after, grid))
    np.testing.assert_allclose(found, scipy.stats.t.logpdf(grid, 2 * a, m, scale), rtol=1e-11)
    np.testing.assert_allclose(scipy.integrate.trapezoid(np.exp(found), grid), 1, rtol=1e-3)
    total = scipy.stats.t.cdf(grid[-1], 2 * a, m, scale)
    assert total == pytest.approx(1, abs=1e-12)

    log_variance = np.linspace(-6, 9, 601)[:, None]  # trapezoidal rule: exponentially accurate
    z = np.linspace(-9, 9, 181)[None]
    variance = np.exp(log_variance)
    mu = m + z * np.sqrt(variance / kappa)
    weight = scipy.stats.invgamma.pdf(variance, a, scale=b) * variance * scipy.stats.norm.pdf(z)
    weight = weight * (15 / 600) * (18 / 180)
    assert weight.sum() == pytest.approx(1, abs=1e-10)
    for at in (m, m + 3, m - 9):
        exact = np.sum(weight * scipy.stats.norm.pdf(at, mu, np.sqrt(variance)))
        np.testing.assert_allclose(
            np.exp(pair.log_predictive(after, jnp.asarray(at))), exact, rtol=1e-9
        )


def test_a_plugged_in_estimate_is_not_the_predictive(x64):
    """From 3 draws, at 6 estimated deviations, the predictive is 13.2 nats above the estimate.

    On average it loses as well: over draws from the prior, the predictive explains a new draw
    better than N(m', b'/a') does.
    """
    x = jnp.array([-1.0, 0.0, 1.0])
    estimate = maximum_likelihood.normal(x)
    after = pair.posterior(prior(0.0, 1e-6, 1e-6, 1e-6), x)
    at = 6 * jnp.sqrt(estimate.variance)
    plugged = normal.log_prob(at, estimate.mean, jnp.log(estimate.variance))
    exact = scipy.stats.t.logpdf(float(at), 3, 0, np.sqrt(2 / 3 * 4 / 3))
    np.testing.assert_allclose(pair.log_predictive(after, at), exact, rtol=1e-5)
    np.testing.assert_allclose(
        plugged, scipy.stats.norm.logpdf(6) - 0.5 * np.log(2 / 3), rtol=1e-12
    )
    assert pair.log_predictive(after, at) - plugged == pytest.approx(13.17, abs=0.01)

    law = prior(0.0, 1.0, 3.0, 3.0)
    key_of_variance, key_of_draws = jax.random.split(jax.random.key(0))
    variance = 3 / jax.random.gamma(key_of_variance, 3.0, (4000, 1))
    noise = jax.random.normal(key_of_draws, (4000, 6))
    draws = jnp.sqrt(variance) * (noise[:, :1] + noise[:, 1:])

    @jax.jit
    @jax.vmap
    def gap(x):
        after = pair.posterior(law, x[:4])
        rough = normal.log_prob(x[4], after.mean, jnp.log(after.scale / after.shape))
        return pair.log_predictive(after, x[4]) - rough

    gaps = np.asarray(gap(draws))
    assert gaps.mean() > 4.5 * gaps.std() / np.sqrt(4000) > 0


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 3e-6), ("f8", 1e-13)])
def test_it_tends_to_the_known_variance_without_losing_digits(dtype, tol, x64):
    """a = b up to 1e12: Γ(a + n/2)/Γ(a) and b^a/b'^a' to 60 digits, then a variance of 1."""
    x = jnp.asarray(X, dtype)
    for a in (0.5, 30.0, 1e6, 1e12):
        law = pair.NormalInverseGamma(*(jnp.asarray(v, dtype) for v in (0.5, 2.0, a, a)))
        with mp.workdps(60):
            values = [mp.mpf(float(v)) for v in x]
            n, center = len(values), mp.fsum(values) / len(values)
            m, kappa, a = (mp.mpf(float(v)) for v in law[:3])
            b = a + mp.fsum((v - center) ** 2 for v in values) / 2
            b += kappa * n * (center - m) ** 2 / (kappa + n) / 2
            exact = (
                mp.loggamma(a + mp.mpf(n) / 2) - mp.loggamma(a) + a * mp.log(a)
                - (a + mp.mpf(n) / 2) * mp.log(b) + mp.log(kappa / (kappa + n)) / 2
                - mp.mpf(n) / 2 * mp.log(2 * mp.pi)
            )  # fmt: skip
        np.testing.assert_allclose(pair.log_evidence(law, x), float(exact), rtol=tol)
    known = normal_known_variance.Normal(law.mean, -jnp.log(law.draws))
    limit = normal_known_variance.log_evidence(known, x, jnp.zeros((), dtype))
    np.testing.assert_allclose(pair.log_evidence(law, x), limit, rtol=max(tol, 1e-10))
