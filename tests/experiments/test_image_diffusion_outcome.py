# SPDX-License-Identifier: Apache-2.0
"""Densities of images as masses of whole numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import image_diffusion_outcome as outcome
from experiments import pixel_scale
from jaxml.diffusion import EPS, FLOW, Clean, linear_log_snr, rectified
from jaxml.models import diffusion

VARIANCE = 0.09
SCALE = pixel_scale.centred(256)


def normal_model(schedule, parameterization):
    """The best network for pixels from N(0, 0.09)."""

    def network(x, t, context=None):
        noise = schedule.at(t).over(x)
        total = noise.alpha**2 * VARIANCE + noise.sigma**2
        best = Clean(noise.alpha * VARIANCE * x / total, noise.sigma * x / total)
        return parameterization.target(best, noise)

    return diffusion.Diffusion(
        network, schedule, parameterization=parameterization, shape=(1, 1, 1)
    )


CURVED = normal_model(linear_log_snr(-12.0, 12.0), EPS)
STRAIGHT = normal_model(rectified(), FLOW)


@pytest.mark.parametrize("model", [CURVED, STRAIGHT], ids=["curved", "straight"])
@pytest.mark.parametrize("levels", [17, 256])
def test_the_masses_of_all_intensities_have_the_sum_1(levels, model):
    """Of pixels from N(0, 0.3²), of which 0.09 % lie beyond; and each is the cell's share."""
    x = jnp.arange(levels, dtype=jnp.uint8).reshape(-1, 1, 1, 1)
    draws = [
        np.exp(
            np.asarray(
                outcome._log_weight(model, x, jax.random.key(i), pixel_scale.centred(levels)), "f8"
            )
        )
        for i in range(50)
    ]
    edges = 2 * np.arange(levels + 1) / levels - 1
    exact = np.diff(stats.norm.cdf(edges, scale=VARIANCE**0.5))
    found, error = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) / np.sqrt(50)
    assert abs(found.sum() - exact.sum()) < 4.5 * np.sqrt(np.sum(error**2)) + 1e-3
    assert (abs(found - exact) < 5 * error + 2e-3 * exact + 1e-7).all()
    if model is CURVED:
        bound = [
            outcome._bound(model, x, jax.random.key(i), pixel_scale.centred(levels))
            for i in range(50)
        ]
        assert np.mean(bound) < np.mean(np.log(exact))


@pytest.mark.parametrize("model", [CURVED, STRAIGHT], ids=["curved", "straight"])
def test_draws_are_those_of_the_data(model):
    """Whole numbers with the mean and the variance of N(0, 0.3²) in 256 cells, 4.5 s.e."""
    n = 4000
    x = 2 * (outcome.draws(model, jax.random.key(0), n, SCALE).reshape(n) + 0.5) / 256 - 1
    assert abs(x.mean()) < 4.5 * np.sqrt(VARIANCE / n)
    assert abs(x.var() / VARIANCE - 1) < 4.5 * np.sqrt(2 / n) + 0.01
    assert len(outcome.path(model).t) == outcome.N_STEPS + 2


def test_validation_of_straight_lines_is_the_error_of_their_velocity():
    """The least mean square error of the best network, ∫ v/(α² v + σ²) dt."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, VARIANCE**0.5, (2000, 1, 1, 1))
    held_out = np.clip((pixels + 1) * 128, 0, 255).astype(np.uint8)
    found = outcome.validate(held_out, SCALE, STRAIGHT, jax.random.key(0))
    t = (np.arange(1000) + 0.5) / 1000
    least = np.mean(VARIANCE / ((1 - t) ** 2 * VARIANCE + t**2))
    assert found.keys() == {"squared_error"}
    assert abs(found["squared_error"] / least - 1) < 0.1
