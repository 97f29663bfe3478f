# SPDX-License-Identifier: Apache-2.0
"""DDIM, Heun and ancestral steps: what is their own. The laws of all are in test_every_solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import MEAN, SOLVERS, VARIANCE, denoise


def test_ddim_is_euler_on_the_probability_flow(x64):
    """In x/α over σ/α, whose derivative is ε; and dpm++ of first order is the same step."""
    grid = d.points(d.cosine(), jnp.asarray([0.7, 0.5]), clean=False)
    now, then = (jax.tree.map(lambda a, i=i: a[i], grid) for i in (0, 1))
    x = jnp.asarray([0.4, -1.3])
    before, after = (p.noise.sigma / p.noise.alpha for p in (now, then))
    euler = then.noise.alpha * (x / now.noise.alpha + (after - before) * denoise(x, now).eps)
    for solver in (d.ddim(), d.dpm_plus_plus(1)):
        np.testing.assert_allclose(
            d.integrate(solver, denoise, grid, x, jax.random.key(0)), euler, rtol=1e-12
        )


def test_straight_lines_are_euler_in_time(x64):
    """On `rectified`, DDIM is x + (s − t) (ε − x_0)."""
    grid = d.points(d.rectified(), jnp.asarray([0.7, 0.5]), clean=False)
    now, x = jax.tree.map(lambda a: a[0], grid), jnp.asarray([0.4, -1.3])
    clean = denoise(x, now)
    expected = x - 0.2 * (clean.eps - clean.x0)
    np.testing.assert_allclose(
        d.integrate(d.ddim(), denoise, grid, x, jax.random.key(0)), expected, rtol=1e-12
    )


def variance_after(step_variance, betas, variance):
    """The variance of x_0 that ancestral steps with the best denoiser make of N(0, 1)."""
    product = np.concatenate([[1.0], np.cumprod(1 - betas)])
    total = product * variance + 1 - product
    now = 1.0
    for t in range(len(betas), 0, -1):
        gain = np.sqrt(1 - betas[t - 1]) * total[t - 1] / total[t]
        now = gain**2 * now + (step_variance[t - 1] if t > 1 else 0.0)
    return now


@pytest.mark.parametrize(
    ("large", "data", "expected"),
    [(False, 0.25, 0.24613), (True, 0.25, 0.25075), (False, 4.0, 3.97478), (True, 4.0, 3.99057)],
)
def test_ancestral_steps_have_the_variance_that_they_should(large, data, expected, x64):
    """A thousand linear betas: the exact recursion against the figure, and one step against it."""
    betas = d.linear_betas(1000)
    noise = d.noise_of(betas)
    before, after = (jax.tree.map(lambda a, part=part: a[part], noise) for part in
                     (slice(0, -1), slice(1, None)))  # fmt: skip
    small = d.posterior(before, after).variance
    used = np.asarray(betas if large else small)
    np.testing.assert_allclose(variance_after(used, np.asarray(betas), data), expected, atol=6e-6)
    grid = d.Points(jnp.arange(1000.0, -1.0, -1.0) / 1000, jax.tree.map(lambda a: a[::-1], noise))

    def best(x, point):
        a, s, _ = point.noise
        total = a**2 * data + s**2
        return d.Clean(a * data * x / total, s * x / total)

    n = 20_000
    x = jax.random.normal(jax.random.key(1), (n,))
    run = jax.jit(lambda x: d.integrate(d.ancestral(large=large), best, grid, x, jax.random.key(0)))
    found = float(jnp.var(run(x)))
    assert abs(found - expected) < 4.5 * expected * np.sqrt(2 / n)


@pytest.mark.parametrize("name", ["ddim, noisy", "ancestral", "dpm++ sde"])
def test_noisy_solvers_make_the_data(name):
    """Mean and variance of 20,000 draws within 4.5 standard errors, and 1 % for the steps' size."""
    n = 20_000
    grid = d.points(d.cosine(), jnp.linspace(1.0, 0.0, 400))
    x = jax.random.normal(jax.random.key(1), (n,))
    found = jax.jit(lambda x: d.integrate(SOLVERS[name], denoise, grid, x, jax.random.key(0)))(x)
    assert abs(float(found.mean()) - MEAN) < 4.5 * np.sqrt(VARIANCE / n)
    assert abs(float(found.var()) / VARIANCE - 1) < 4.5 * np.sqrt(2 / n) + 0.01


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="eta"):
        d.ddim(1.5)
    with pytest.raises(ValueError, match="order"):
        d.dpm_plus_plus(4)
