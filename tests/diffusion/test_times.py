# SPDX-License-Identifier: Apache-2.0
"""Times of training: their laws, and how evenly a batch has them."""

import jax
import numpy as np
import pytest
from scipy import stats

from jaxml.diffusion import edm, times


@pytest.mark.parametrize("n", [1, 2, 5, 1000])
def test_times_lie_evenly_in_the_interval_without_its_zero(n):
    draw = jax.jit(jax.vmap(lambda key: times.uniform(key, n)))
    t = np.asarray(draw(jax.random.split(jax.random.key(0), 500)))
    assert t.shape == (500, n)
    assert ((t > 0) & (t <= 1)).all()
    np.testing.assert_allclose(np.diff(np.sort(t, 1), axis=1), 1 / n, atol=2e-7)


def test_every_time_is_uniform_by_itself():
    """Mean ½, variance 1/12: an estimate is unbiased for each example and not for a batch only."""
    draw = jax.jit(jax.vmap(lambda key: times.uniform(key, 3)))
    t = np.asarray(draw(jax.random.split(jax.random.key(1), 20000)), "f8")
    assert (np.abs(t.mean(0) - 0.5) < 4.5 * np.sqrt(1 / 12 / 20000)).all()
    # The fourth central moment of a uniform number is 1/80.
    assert (np.abs(t.var(0) - 1 / 12) < 4.5 * np.sqrt((1 / 80 - 1 / 144) / 20000)).all()


def test_times_have_their_laws():
    """Quantiles of a batch against those of SciPy's laws."""
    n = 4000
    t = np.sort(times.logit_normal(0.5, 0.8)(jax.random.key(0), n))
    quantile = stats.norm.cdf((np.log(t / (1 - t)) - 0.5) / 0.8)
    np.testing.assert_allclose(quantile, (np.arange(n) + 0.5) / n, atol=0.6 / n)
    schedule = edm()
    t = times.log_normal(schedule)(jax.random.key(0), n)
    sigma = np.sort(np.asarray(schedule.at(t).sigma))
    quantile = stats.norm.cdf((np.log(sigma) + 1.2) / 1.2)
    inside = (sigma > 0.0021) & (sigma < 79)
    np.testing.assert_allclose(quantile[inside], ((np.arange(n) + 0.5) / n)[inside], atol=1e-3)
    with pytest.raises(ValueError, match="scale"):
        times.logit_normal(0.0, 0.0)
