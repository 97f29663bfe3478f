# SPDX-License-Identifier: Apache-2.0
"""The best possible network for normal data, whatever it is asked for."""

import jax.numpy as jnp
import pytest

from jaxml import diffusion as d
from jaxml.models import diffusion

MEAN, VARIANCE = 0.3, 0.25


def best(schedule, parameterization):
    """`(x, t, context) -> output` for data from N(0.3, 0.25)."""

    def network(x, t, context=None):
        noise = schedule.at(t).over(x)
        x = x / parameterization.scale_in(noise)
        total = noise.alpha**2 * VARIANCE + noise.sigma**2
        eps = noise.sigma * (x - noise.alpha * MEAN) / total
        x0 = MEAN + noise.alpha * VARIANCE * (x - noise.alpha * MEAN) / total
        return parameterization.target(d.Clean(x0, eps), noise)

    return network


@pytest.fixture
def best_model():
    """`best_model(schedule, parameterization, n)`: the model of the best network, for n numbers."""

    def make(schedule, parameterization=d.V, n=2):
        network = best(schedule, parameterization)
        shape = (n,)
        return diffusion.Diffusion(
            network, schedule, parameterization=parameterization, shape=shape
        )

    return make


@pytest.fixture
def normal_data():
    """`normal_data(rng, n)`: n rows of 2 numbers from N(0.3, 0.25)."""

    def draw(rng, n):
        return jnp.asarray(MEAN + VARIANCE**0.5 * rng.normal(size=(n, 2)), jnp.result_type(float))

    return draw
