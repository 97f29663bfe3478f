# SPDX-License-Identifier: Apache-2.0
"""Solvers on Gaussian data, whose denoiser and whose paths are known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d

MEAN, VARIANCE = 0.3, 0.25
SOLVERS = {
    "ddim": d.ddim(),
    "heun": d.heun(),
    "dpm++ 1": d.dpm_plus_plus(1),
    "dpm++ 2": d.dpm_plus_plus(2),
    "dpm++ 3": d.dpm_plus_plus(3),
    "ddim, noisy": d.ddim(1.0),
    "ancestral": d.ancestral(),
    "ancestral, large": d.ancestral(large=True),
    "dpm++ sde": d.dpm_plus_plus_sde(),
}
ORDERS = {"ddim": 1, "heun": 2, "dpm++ 1": 1, "dpm++ 2": 2, "dpm++ 3": 3}
SCHEDULES = {"edm": d.edm(), "cosine": d.cosine(), "rectified": d.rectified()}


def denoise(x, point):
    """E[x_0 | x_t] of N(m, v), and the ε that belongs to it."""
    a, s, _ = point.noise
    total = a**2 * VARIANCE + s**2
    return d.Clean(MEAN + a * VARIANCE * (x - a * MEAN) / total, s * (x - a * MEAN) / total)


def exact(x, first, last):
    """m_s + √(V_s/V_t) (x − m_t): the path of the probability-flow equation."""
    total = [p.alpha**2 * VARIANCE + p.sigma**2 for p in (first, last)]
    return last.alpha * MEAN + jnp.sqrt(total[1] / total[0]) * (x - first.alpha * MEAN)


def ends(grid):
    return [jax.tree.map(lambda a, i=i: a[i], grid.noise) for i in (0, -1)]


def error(name, schedule, n_steps):
    """The largest error of a few paths, relative to the largest of their ends."""
    low = {"edm": 0.0, "cosine": 0.02, "rectified": 0.05}[schedule]
    times = jnp.linspace(1.0 - low, low, n_steps + 1)
    grid = d.points(SCHEDULES[schedule], times, clean=False)
    first, last = ends(grid)
    spread = jnp.sqrt(first.alpha**2 * VARIANCE + first.sigma**2)
    x = first.alpha * MEAN + spread * jnp.asarray([-3.0, -1.0, 0.5, 3.0])
    run = jax.jit(lambda x: d.integrate(SOLVERS[name], denoise, grid, x, jax.random.key(0)))
    truth = exact(x, first, last)
    return float(jnp.abs(run(x) - truth).max() / jnp.abs(truth).max())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ORDERS)
def test_a_solver_has_its_order(name, schedule, x64):
    """The slope of log error over log n between 64 and 512 steps is within 0.15 of the order."""
    sizes = np.array([64, 128, 256, 512])
    errors = np.array([error(name, schedule, int(n)) for n in sizes])
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - ORDERS[name]) < 0.15, (slope, errors)
    if ORDERS[name] > 1:
        assert errors[-1] < 1e-4


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("n_steps", [1, 2, 50])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_length_of_a_grid_breaks_a_solver(name, n_steps, schedule):
    """One step, two and fifty, to little noise and to none, in single precision: all finite."""
    times = jnp.linspace(0.999, 1e-3, n_steps + 1)
    for clean in (False, True):
        grid = d.points(SCHEDULES[schedule], times, clean=clean)
        first = ends(grid)[0]
        x = first.sigma * jax.random.normal(jax.random.key(1), (64,))
        found = d.integrate(SOLVERS[name], denoise, grid, x, jax.random.key(0))
        assert jnp.isfinite(found).all()


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("schedule", [d.rectified(), d.zero_terminal(d.cosine())])
def test_a_grid_may_begin_without_signal(name, schedule):
    """From t = 1, where α = 0, the default grid leads to the data: their mean and spread."""
    grid = d.points(schedule, d.grid.uniform(100))
    x = jax.random.normal(jax.random.key(1), (4000,))
    run = jax.jit(lambda x: d.integrate(SOLVERS[name], denoise, grid, x, jax.random.key(0)))
    found = np.asarray(run(x), "f8")
    assert abs(found.mean() - MEAN) < 4.5 * np.sqrt(VARIANCE / 4000) + 0.01
    assert abs(found.var() / VARIANCE - 1) < 4.5 * np.sqrt(2 / 4000) + 0.06


@pytest.mark.parametrize("name", SOLVERS)
def test_the_last_step_to_no_noise_is_the_denoiser(name):
    """From σ to 0 in one step, every solver returns E[x_0 | x]."""
    grid = d.points(d.edm(), jnp.asarray([0.4]))
    x = jnp.asarray([-1.0, 2.0])
    first = jax.tree.map(lambda a: a[0], grid)
    found = d.integrate(SOLVERS[name], denoise, grid, x, jax.random.key(0))
    np.testing.assert_allclose(found, denoise(x, first).x0, atol=2e-6)


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
