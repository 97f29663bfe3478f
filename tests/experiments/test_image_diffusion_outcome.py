# SPDX-License-Identifier: Apache-2.0
"""Densities of images as masses of whole numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import image_diffusion_outcome as outcome
from jaxml.diffusion import EPS, linear_log_snr
from jaxml.models import diffusion

VARIANCE = 0.09


def normal_model():
    """The best network for pixels from N(0, 0.09)."""
    schedule = linear_log_snr(-12.0, 12.0)

    def network(x, t, context=None):
        noise = schedule.at(t).over(x)
        return noise.sigma * x / (noise.alpha**2 * VARIANCE + noise.sigma**2)

    return diffusion.Diffusion(network, schedule, parameterization=EPS, shape=(1, 1, 1))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_whole_numbers_come_back_from_their_noise(levels):
    """For every intensity and 500 draws of noise; what lies beyond the ends is at the ends."""
    x = jnp.tile(jnp.arange(levels, dtype=jnp.uint8).reshape(-1, 1, 1, 1), (500, 1, 1, 1))
    y = outcome.centred(levels, x, jax.random.key(0))
    assert ((y >= -1) & (y < 1)).all()
    np.testing.assert_array_equal(outcome.whole(levels, y), x)
    ends = outcome.whole(levels, jnp.asarray([-7.0, -1.0, 1.0, 7.0]))
    np.testing.assert_array_equal(ends, [0, 0, levels - 1, levels - 1])


@pytest.mark.parametrize("levels", [17, 256])
def test_the_masses_of_all_intensities_have_the_sum_1(levels):
    """Of pixels from N(0, 0.3²), of which 0.09 % lie beyond; and each is the cell's share."""
    model = normal_model()
    x = jnp.arange(levels, dtype=jnp.uint8).reshape(-1, 1, 1, 1)
    draws = [
        np.exp(np.asarray(outcome._log_weight(model, x, jax.random.key(i), levels), "f8"))
        for i in range(50)
    ]
    edges = 2 * np.arange(levels + 1) / levels - 1
    exact = np.diff(stats.norm.cdf(edges, scale=VARIANCE**0.5))
    found, error = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) / np.sqrt(50)
    assert abs(found.sum() - exact.sum()) < 4.5 * np.sqrt(np.sum(error**2)) + 1e-3
    assert (abs(found - exact) < 5 * error + 2e-3 * exact + 1e-7).all()
    bound = [outcome._bound(model, x, jax.random.key(i), levels) for i in range(50)]
    assert np.mean(bound) < np.mean(np.log(exact))
