# SPDX-License-Identifier: Apache-2.0
"""Orders of the solvers, on Gaussian data and a mixture, whose denoisers and paths are exact."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import (
    FIRST_ORDER,
    MEAN,
    ORDERS,
    SCHEDULES,
    SOLVERS,
    VARIANCE,
    denoise,
    exact,
    runs,
)

WEIGHTS, MEANS, VARIANCES = (0.4, 0.6), (-0.8, 0.7), (0.2, 0.3)


def mixture():
    """A denoiser of numbers, and where the probability flow leads them."""
    weights, means, variances = map(jnp.asarray, (WEIGHTS, MEANS, VARIANCES))
    rows = d.mixture_denoiser(weights, means[:, None], variances[:, None, None])

    def numbers(x, point):
        return jax.tree.map(lambda a: a[..., 0], rows(x[..., None], point))

    return numbers, d.mixture_path(weights, means, variances)


@cache
def problem(spans):
    """A denoiser of both data, a few paths' starts on each schedule, and where they end."""
    of_mixture, path = mixture()

    def both(x, point):
        parts = denoise(x[0], point), of_mixture(x[1], point)
        return jax.tree.map(lambda *a: jnp.stack(a), *parts)

    @jax.jit
    def paths(first, last):
        spread = jnp.sqrt(first.alpha**2 * VARIANCE + first.sigma**2)
        x = first.alpha * MEAN + spread * jnp.asarray([-3.0, -1.0, 0.5, 3.0])
        return jnp.stack([x, x]), jnp.stack([exact(x, first, last), path(x, first, last)])

    noises = [[SCHEDULES[s].at(jnp.asarray(t)) for t in times] for s, *times in spans]
    starts, truth = zip(*(paths(*ends) for ends in noises), strict=True)
    return both, starts, jnp.stack(truth)


def errors(name, n_steps, spans):
    """For each schedule and data the largest error of a few paths, relative to the largest end."""
    told, starts, truth = problem(spans)
    times = [jnp.linspace(first, last, n_steps + 1) for _, first, last in spans]
    grids = [
        d.points(SCHEDULES[s], t, clean=False) for (s, *_), t in zip(spans, times, strict=True)
    ]
    found = runs(SOLVERS[name], grids, starts, told)
    return np.asarray(jnp.abs(found - truth).max(-1) / jnp.abs(truth).max(-1))


def slopes(found):
    """Of log error over log n, by least squares, for each schedule and data."""
    return -np.polyfit(np.log(SIZES), np.log(found).reshape(len(SIZES), -1), 1)[0]


SIZES = (64, 128, 256, 512)
SPANS = (("edm", 1.0, 0.0), ("cosine", 0.98, 0.02), ("rectified", 0.95, 0.05))
SHORT = (("edm", 1.0, 0.0), ("cosine", 0.85, 0.15), ("rectified", 0.85, 0.15))
"""A polynomial in σ/α has its order where steps are short beside σ/α; of the cosine, 64 steps
from t = 0.98 begin with one of half of it."""
BLIND = (("rectified", 1.0, 0.05),)


@pytest.mark.parametrize("name", ORDERS)
def test_a_solver_has_its_order(name, x64):
    """The slope of log error over log n between 64 and 512 steps is within 0.15 of the order."""
    found = np.stack([errors(name, n, SHORT if name == "deis 3" else SPANS) for n in SIZES])
    np.testing.assert_allclose(slopes(found), ORDERS[name], atol=0.15, err_msg=str(found))
    if ORDERS[name] > 1:
        # Adams and Bashforth's constant is 5/12, where the trapezoid's is 1/12.
        assert found[-1].max() < (1.5e-4 if name == "deis 2" else 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddim", "heun", "dpm++ 2", "unipc 2", "deis 2", "unipc 3"])
def test_these_keep_their_order_from_no_signal(name, x64):
    """From α = 0 on, where log σ/α changes by log 2 in the second step of a thousand as of ten."""
    found = np.stack([errors(name, n, BLIND) for n in SIZES])
    np.testing.assert_allclose(slopes(found), ORDERS[name], atol=0.15, err_msg=str(found))


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_of_first_order_there_is_one_solver(name, x64):
    """It is DDIM, at every noise, from none left of the data to none left of the noise."""
    x = jnp.asarray([-2.0, 0.1, 1.7])
    grids = [d.points(s, jnp.linspace(1.0, 0.01, 8)) for s in SCHEDULES.values()]
    starts = [x * grid.noise.sigma[0] for grid in grids]
    found, expected = (runs(SOLVERS[n], grids, starts) for n in (name, "ddim"))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
