# SPDX-License-Identifier: Apache-2.0
"""Monte-Carlo averages carry their standard error."""

import jax
import numpy as np
import pytest
import scipy.stats

from jaxml.probability import monte_carlo


def test_standard_error_is_scipys(x64):
    """Mean and standard error of the mean equal SciPy's along the first axis."""
    values = jax.random.normal(jax.random.key(0), (50, 3), dtype=float) * 4 + 1
    mean, error = monte_carlo.estimate(values)
    np.testing.assert_allclose(mean, np.mean(values, 0), rtol=1e-14)
    np.testing.assert_allclose(error, scipy.stats.sem(values, 0), rtol=1e-12)


def test_the_standard_error_covers():
    """The truth lies within 1.96 standard errors in 95 % of 2000 experiments."""
    values = jax.random.exponential(jax.random.key(1), (400, 2000))
    mean, error = monte_carlo.estimate(values)
    coverage = np.mean(np.abs(np.asarray(mean) - 1) < 1.96 * np.asarray(error))
    assert abs(coverage - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / 2000)


def test_one_value_has_no_standard_error():
    with pytest.raises(ValueError, match="values: a standard error needs at least 2"):
        monte_carlo.estimate(jax.numpy.ones(1))
