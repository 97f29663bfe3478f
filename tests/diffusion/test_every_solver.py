# SPDX-License-Identifier: Apache-2.0
"""Laws of all solvers, on Gaussian data, whose denoiser is exact. Orders: test_solver_orders."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import (
    MEAN,
    NAMES,
    SCHEDULES,
    VARIANCE,
    at,
    denoise,
    runs,
    stacked,
    together,
)


def looked_at(name, n_steps):
    """Ends of n steps to some noise and to none, the grids, and where they started."""
    times, z = jnp.linspace(0.999, 1e-3, n_steps + 1), jax.random.normal(jax.random.key(1), (64,))
    for solver, schedules in together(name, SCHEDULES.values(), n_steps):
        grids = [d.points(s, times, clean=False) for s in schedules]
        grids += [d.points(s, 0.5 * times[:-1]) for s in schedules]
        starts = [z * jnp.hypot(grid.noise.alpha[0], grid.noise.sigma[0]) for grid in grids]
        yield runs(solver, grids, starts), grids, starts


@pytest.mark.parametrize("name", NAMES)
def test_one_step_to_no_noise_is_the_denoiser(name):
    """Every solver returns E[x_0 | x], and for one step to some noise something finite."""
    for found, grids, starts in looked_at(name, 1):
        assert jnp.isfinite(found).all()
        half = len(grids) // 2
        expected = [
            denoise(x, at(g, 0)).x0 for x, g in zip(starts[half:], grids[half:], strict=True)
        ]
        np.testing.assert_allclose(found[half:], jnp.stack(expected), atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fifty_steps_are_finite(name):
    """To little noise and to none, in single precision."""
    for found, _, _ in looked_at(name, 50):
        assert jnp.isfinite(found).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_grids_may_be_mapped_over(name):
    """`vmap` over grids, of which some begin without signal or end clean, does what each does."""
    for solver, schedules in together(name, [d.edm(), d.rectified()], 3):
        grids = [d.points(s, jnp.linspace(1.0, 0.1, 4), clean=False) for s in schedules]
        grids += [d.points(s, jnp.linspace(1.0, 0.1, 3)) for s in schedules]
        starts = [jnp.linspace(-2.0, 2.0, 5) * grid.noise.sigma[0] for grid in grids]

        def end(grid, x, solver=solver):
            return d.integrate(solver, denoise, grid, x, jax.random.key(0))

        found = jax.jit(jax.vmap(end))(stacked(grids), jnp.stack(starts))
        np.testing.assert_allclose(found, runs(solver, grids, starts), rtol=1e-5, atol=1e-5)


BLIND = [d.rectified(), d.zero_terminal(d.cosine())]
"""Schedules that end without signal."""


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_may_begin_without_signal(name):
    """From t = 1, where α = 0, the default grid leads to the data: their mean and spread."""
    n = 4000
    for solver, schedules in together(name, BLIND, 101):
        grids = [d.points(schedule, d.grid.uniform(100)) for schedule in schedules]
        starts = [jax.random.normal(jax.random.key(1), (n,))] * len(schedules)
        found = np.asarray(runs(solver, grids, starts), "f8")
        np.testing.assert_allclose(found.mean(1), MEAN, atol=4.5 * np.sqrt(VARIANCE / n) + 0.01)
        bound = 4.5 * np.sqrt(2 / n) + 0.06
        np.testing.assert_allclose(found.var(1) / VARIANCE, 1, atol=bound)


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_have_finite_gradients(name):
    """By the start and by the denoiser, from signal and from none, to noise and none."""
    for solver, schedules in together(name, [d.edm(), d.rectified()], 2):
        grids = [d.points(s, jnp.linspace(1.0, 0.1, 3), clean=False) for s in schedules]
        grids += [d.points(s, jnp.linspace(1.0, 0.1, 2)) for s in schedules]

        def loss(shift, x, grid, solver=solver):
            def shifted(x, point):
                return jax.tree.map(lambda a: a + shift, denoise(x, point))

            return jnp.sum(d.integrate(solver, shifted, grid, x, jax.random.key(0)))

        slopes = jax.jit(
            lambda shift, x, grids, loss=loss: jax.lax.map(
                lambda grid: jax.value_and_grad(loss, (0, 1))(shift, x, grid), grids
            )
        )
        x = jax.random.normal(jax.random.key(1), (8,))
        chex.assert_tree_all_finite(slopes(jnp.asarray(0.1), x, stacked(grids)))


@pytest.mark.parametrize("name", NAMES)
def test_grids_of_one_length_share_a_program(name):
    """Other times and another end trace nothing anew, and fifty steps trace what two do."""
    calls = []

    def counted(x, point):
        calls.append(None)
        return denoise(x, point)

    (solver, _), *_ = together(name, [d.cosine()], 50)

    def run(grid, x):
        return d.integrate(solver, counted, grid, x, jax.random.key(0))

    traced, x, counts = jax.jit(run).eval_shape, jnp.ones(3), []
    for last, clean in ((0.1, True), (0.3, True), (0.2, False)):
        times = jnp.linspace(0.9, last, 51 - clean)
        traced(d.points(d.cosine(), times, clean=clean), x)
        counts.append(len(calls))
    assert counts[2] == counts[0]
    jax.eval_shape(run, d.points(d.cosine(), jnp.asarray([0.9, 0.5])), x)
    assert len(calls) == 2 * counts[0]


def test_equal_options_give_one_solver():
    """And so one compiled program, wherever they were asked for."""
    for make in (
        d.unipc,
        d.deis,
        lambda: d.unipc(3),
        lambda: d.euler_maruyama(d.cosine()),
        lambda: d.predictor_corrector(d.ddim(), 2),
        lambda: d.churned(d.edm(), 20, churn=10.0),
    ):
        assert make() is make()
