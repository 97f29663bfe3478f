# SPDX-License-Identifier: Apache-2.0
"""The Laplace density."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxml.probability import laplace


def test_log_prob_matches_scipy(x64):
    """−|x − m|/b − log 2b."""
    rng = np.random.default_rng(0)
    x, m, s = rng.normal(size=(3, 200))  # farther out SciPy's density has underflown
    ours = laplace.log_prob(*map(jnp.asarray, (x, m, s)))
    np.testing.assert_allclose(ours, scipy.stats.laplace.logpdf(x, m, np.exp(s)), rtol=1e-12)


def test_the_density_integrates_to_one(x64):
    """∫ p dx = 1, whatever the scale."""
    x = jnp.linspace(-60, 60, 240_001)
    for s in (-1.0, 0.0, 1.0):
        p = jnp.exp(laplace.log_prob(x, jnp.full_like(x, 0.3), jnp.full_like(x, s)))
        np.testing.assert_allclose(jax.scipy.integrate.trapezoid(p, x), 1, rtol=1e-6)
