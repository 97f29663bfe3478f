# SPDX-License-Identifier: Apache-2.0
"""Rates of counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mpmath import mp

from jaxml.probability import maximum_likelihood, poisson
from jaxml.probability.conjugate import gamma_poisson as pair

predictive = jax.jit(pair.log_predictive)


def test_the_predictive_is_the_integral_and_sums_to_one(x64):
    """SciPy's negative binomial; ∫ P(y|λ) p(λ) dλ by quadrature."""
    law = pair.Gamma(jnp.float64(2.5), jnp.float64(0.7))
    y = jnp.arange(-1.0, 400.0)
    found = np.asarray(predictive(law, y))
    assert found[0] == -np.inf
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-13)
    expected = scipy.stats.nbinom.logpmf(y[1:], 2.5, 0.7 / 1.7)
    np.testing.assert_allclose(found[1:], expected, rtol=1e-11)
    for i in (0, 4, 30):

        def integrand(t, i=i):
            return scipy.stats.poisson.pmf(i, t) * scipy.stats.gamma.pdf(t, 2.5, 0, 1 / 0.7)

        options = {"points": (1, 5, 20, 40), "epsabs": 1e-14, "epsrel": 1e-11}
        total, _ = scipy.integrate.quad(integrand, 0, 200, **options)
        np.testing.assert_allclose(np.exp(found[1 + i]), total, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-5), ("f8", 1e-13)])
def test_the_evidence_of_large_counts_matches_60_digits(dtype, tol, x64):
    """Counts from 0 to 1e9 (1e6 in single precision), of the size of their mean and not."""
    rng = np.random.default_rng(0)
    for size in (1.0, 1e3, 1e6, 1e9)[: 4 if dtype == "f8" else 3]:
        y = rng.poisson(size, 5).astype(dtype)
        law = pair.Gamma(jnp.asarray(2.5, dtype), jnp.asarray(2.5 / size, dtype))
        with mp.workdps(60):
            a, b = (mp.mpf(float(v)) for v in law)
            total = mp.fsum(float(v) for v in y)
            value = mp.loggamma(a + total) - mp.loggamma(a) + a * mp.log(b)
            value -= (a + total) * mp.log(b + 5) + mp.fsum(mp.loggamma(float(v) + 1) for v in y)
        np.testing.assert_allclose(pair.log_evidence(law, jnp.asarray(y)), float(value), rtol=tol)
    assert pair.log_evidence(law, jnp.asarray([1.0, -1.0], dtype)) == -np.inf


def test_zero_counts_are_no_proof_of_a_zero_rate(x64):
    """After no count in four draws the estimate excludes all counts, the predictive does not."""
    y = jnp.zeros(4)
    after = pair.posterior(pair.Gamma(jnp.float64(0.5), jnp.float64(0.1)), y)
    np.testing.assert_allclose(after, [0.5, 4.1])
    assert poisson.log_prob(jnp.float64(1), maximum_likelihood.poisson(y)) == -np.inf
    exact = scipy.stats.nbinom.logpmf(1, 0.5, 4.1 / 5.1)
    found = predictive(after, jnp.float64(1))
    np.testing.assert_allclose(found, exact, rtol=1e-13)
    assert -2.5 < exact < -2


def test_modes(x64):
    """(a − 1)/b, and 0 for a ≤ 1."""
    law = pair.Gamma(jnp.array([3.0, 1.0, 0.5]), jnp.array([4.0, 1.0, 2.0]))
    np.testing.assert_array_equal(pair.maximum_a_posteriori(law), [0.5, 0, 0])
