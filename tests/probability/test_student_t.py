# SPDX-License-Identifier: Apache-2.0
"""Student's t against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import student_t


@pytest.mark.parametrize("freedom", [0.5, 1.0, 3.0, 200.0])
def test_log_prob_matches_scipy(freedom, x64):
    x = np.array([-1e6, -3.0, 0.0, 0.1, 40.0])
    found = student_t.log_prob(jnp.asarray(x), jnp.asarray(freedom))
    np.testing.assert_allclose(found, scipy.stats.t.logpdf(x, freedom), rtol=1e-12)


def test_draws_follow_the_law():
    """Kolmogorov-Smirnov at ν = 1 (Cauchy) and 4."""
    for freedom in (1.0, 4.0):
        x = student_t.sample(jnp.full(20_000, freedom), jax.random.key(3))
        assert scipy.stats.kstest(np.asarray(x), scipy.stats.t(freedom).cdf).pvalue > 1e-3
