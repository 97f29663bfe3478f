# SPDX-License-Identifier: Apache-2.0
"""Densities of the probability flow of the best network, whose paths are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml import diffusion as d
from jaxml.bijections import ode
from jaxml.models import diffusion

MEAN, VARIANCE = 0.3, 0.25
CASES = {
    "cosine, v": (d.cosine(), d.V, 0.0),
    "linear, eps": (d.linear(), d.EPS, 1e-3),
    "edm": (d.edm(), d.preconditioned(0.5), 0.0),
    "rectified, flow": (d.rectified(), d.FLOW, 1e-3),
}


def marginal(schedule, t):
    noise = schedule.at(jnp.asarray(t))
    variance = float(noise.alpha) ** 2 * VARIANCE + float(noise.sigma) ** 2
    return float(noise.alpha) * MEAN, variance, float(noise.sigma)


@pytest.mark.parametrize("name", CASES)
def test_an_affine_path_has_an_affine_density(name, best_model, x64):
    """x_1 = m_1 + √(V_1/V_s) (x − m_s) and its log-determinant, to 1e-8; and the way back."""
    schedule, kind, start = CASES[name]
    model, solver = best_model(schedule, kind), ode.adaptive(1e-10, 1e-12)
    x = jnp.asarray([[0.0, 0.5], [-1.0, 2.0], [0.3, 0.3]])
    mean, variance, _ = marginal(schedule, start)
    last_mean, last, sigma = marginal(schedule, 1.0)
    end = last_mean + np.sqrt(last / variance) * (np.asarray(x) - mean)
    expected = stats.norm.logpdf(end, 0, sigma).sum(1) + np.log(last / variance)
    found = jax.jit(lambda x: diffusion.log_prob(model, x, start=start, solver=solver))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
    # Where nothing is left of the data at t = 1, this is the law of the data under the first noise.
    law = stats.norm.logpdf(np.asarray(x), mean, np.sqrt(variance)).sum(1)
    np.testing.assert_allclose(found, law, atol=2e-2 if name == "linear, eps" else 4e-3)
    there = diffusion.path(model, x, start=start, solver=solver)
    back = diffusion.path(model, there.end, start=1.0, end=start, solver=solver)
    np.testing.assert_allclose(back.end, x, atol=1e-7)
    np.testing.assert_allclose(back.log_det, -there.log_det, atol=1e-7)


def test_an_estimated_trace_is_that_of_a_diagonal_field(best_model, x64):
    """Signs leave no variance where the Jacobian is diagonal, as it is for independent numbers."""
    model, solver = best_model(d.cosine()), ode.adaptive(1e-10, 1e-12)
    x = jnp.asarray([[0.0, 0.5], [-1.0, 2.0]])
    noise = jax.random.rademacher(jax.random.key(0), x.shape, x.dtype)
    exact, estimated = (
        diffusion.log_prob(model, x, eps, start=0.0, solver=solver) for eps in (None, noise)
    )
    np.testing.assert_allclose(estimated, exact, atol=1e-8)


def test_solvers_of_both_kinds_reach_the_same_data(best_model, x64):
    """`sample` with many steps of Heun ends where the equation, solved adaptively, does."""
    model, key = best_model(d.edm(), d.preconditioned(0.5)), jax.random.key(0)
    path = d.points(model.schedule, jnp.linspace(1.0, 0.0, 1025), clean=False)
    found = diffusion.sample(model, key, 5, solver=d.heun(), path=path)
    x = path.noise.sigma[0] * jax.random.normal(jax.random.split(jax.random.key(0))[0], (5, 2))
    end = diffusion.path(model, x, start=1.0, end=0.0, solver=ode.adaptive(1e-9, 1e-9)).end
    np.testing.assert_allclose(found, end, atol=1e-4)
    clean = diffusion.sample(model, jax.random.key(1), 20_000)
    assert clean.shape == (20_000, 2)
    assert abs(float(clean.mean()) - MEAN) < 4.5 * np.sqrt(VARIANCE / 40_000) + 0.01
    assert abs(float(clean.var()) / VARIANCE - 1) < 4.5 * np.sqrt(2 / 40_000) + 0.1
