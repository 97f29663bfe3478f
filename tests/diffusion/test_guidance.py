# SPDX-License-Identifier: Apache-2.0
"""Guidance on Gaussian classes, whose guided score has a closed form, and thresholds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal

from jaxml import diffusion as d
from tests.diffusion.case import at

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[1.0, -0.5], [-0.8, 0.4]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.4, -0.1], [-0.1, 0.6]]])
SCHEDULES = {"edm": d.edm(), "cosine": d.cosine(), "rectified": d.rectified()}


def classes():
    """The denoiser of the first class, and that of both."""
    weights, means, covariances = map(jnp.asarray, (WEIGHTS, MEANS, COVARIANCES))
    return (
        d.gaussian_denoiser(means[0], covariances[0]),
        d.mixture_denoiser(weights, means, covariances),
    )


def point(schedule, t):
    t = jnp.asarray(t)
    return d.Points(t, schedule.at(t))


def rows(n=6, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, 2)))


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_the_guided_score_is_w_times_one_and_1_minus_w_times_the_other(scale, x64):
    """w ∇ log q_c + (1 − w) ∇ log q of the noised densities, to ten digits."""

    def log_class(x, p, i):
        covariance = p.noise.alpha**2 * COVARIANCES[i] + p.noise.sigma**2 * np.eye(2)
        return multivariate_normal.logpdf(x, p.noise.alpha * MEANS[i], covariance)

    def log_guided(x, p):
        both = jnp.log(sum(w * jnp.exp(log_class(x, p, i)) for i, w in enumerate(WEIGHTS)))
        return scale * log_class(x, p, 0) + (1 - scale) * both

    score = jax.jit(jax.vmap(jax.grad(log_guided), (0, None)))
    told, x = jax.jit(d.guided(*classes(), scale)), rows()
    for schedule in SCHEDULES.values():
        p = point(schedule, 0.4)
        clean = told(x, p)
        np.testing.assert_allclose(-clean.eps / p.noise.sigma, score(x, p), rtol=1e-10, atol=1e-12)
        again = p.noise.alpha * clean.x0 + p.noise.sigma * clean.eps
        np.testing.assert_allclose(again, x, rtol=1e-10, atol=1e-12)


def test_outside_of_its_interval_guidance_is_not_asked_for(x64):
    """σ/α in (low, high] alone is guided; elsewhere the second network does not run."""
    of_class, of_all = classes()
    calls = []

    def counted(x, point):
        jax.debug.callback(lambda: calls.append(None))
        return of_all(x, point)

    guided = jax.jit(d.guided(of_class, counted, 3.0, interval=(0.5, 2.0)))
    plain, x = d.guided(of_class, of_all, 3.0), rows()
    for sigma, inside in ((0.1, False), (0.6, True), (1.9, True), (2.1, False), (50.0, False)):
        t = jnp.log(jnp.asarray(sigma) / 0.01) / np.log(5000.0)
        p = point(d.variance_exploding(), t)
        calls.clear()
        found = guided(x, p)
        jax.effects_barrier()
        assert len(calls) == inside
        jax.tree.map(np.testing.assert_allclose, found, (plain if inside else of_class)(x, p))


@pytest.mark.parametrize(("high", "asked"), [(2.0, False), (np.inf, True)])
def test_an_interval_may_be_open_at_the_noisy_end(high, asked, x64):
    """At α = 0, σ/α is infinite."""
    of_class, of_all = classes()
    p = at(d.points(d.rectified(), jnp.asarray([1.0, 0.5])), 0)
    found = d.guided(of_class, of_all, 3.0, interval=(0.0, high))(rows(), p)
    expected = (d.guided(of_class, of_all, 3.0) if asked else of_class)(rows(), p)
    jax.tree.map(np.testing.assert_allclose, found, expected)


def limited():
    """Every wrapper that puts another x̂_0 in place."""
    of_class, of_all = classes()
    guided = d.guided(of_class, of_all, 4.0)
    return {
        "rescaled": d.rescaled(guided, of_class, axes=-1),
        "clipped": d.clipped(guided, -0.4, 0.3),
        "dynamic": d.dynamic_threshold(guided, 80.0, 0.3, axes=-1),
    }


@pytest.mark.parametrize("name", ["rescaled", "clipped", "dynamic"])
def test_x0_and_eps_still_make_x(name, x64):
    """From no signal or little to no noise, with finite gradients throughout."""
    wrapped, plain, x = limited()[name], d.guided(*classes(), 4.0), rows()

    @jax.jit
    def look(x, p):
        return wrapped(x, p), plain(x, p).x0, jax.jacobian(lambda x: wrapped(x, p))(x)

    for schedule in SCHEDULES.values():
        grid = d.points(schedule, jnp.asarray([1.0, 0.6, 0.1]))
        for i in range(4):
            p = at(grid, i)
            clean, before, slopes = look(x, p)
            if i < 3:
                again = p.noise.alpha * clean.x0 + p.noise.sigma * clean.eps
                np.testing.assert_allclose(again, x, rtol=1e-10, atol=1e-11)
                assert np.abs(clean.x0 - before).max() > 1e-3
            assert all(jnp.isfinite(a).all() for a in (*clean, *slopes))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_rescaled_x0_has_a_deviation_between_two(share, x64):
    """φ s_c + (1 − φ) s_guided over the axes of each example."""
    of_class, of_all = classes()
    guided, p, x = (
        d.guided(of_class, of_all, 5.0),
        point(d.cosine(), 0.5),
        rows(12).reshape(3, 4, 2),
    )
    rescaled = d.rescaled(guided, of_class, share, axes=(1, 2))
    found, right, wrong = (np.asarray(jax.jit(f)(x, p).x0) for f in (rescaled, of_class, guided))
    expected = share * right.std((1, 2)) + (1 - share) * wrong.std((1, 2))
    np.testing.assert_allclose(found.std((1, 2)), expected, rtol=1e-12)


def test_an_x0_without_contrast_is_left_alone(x64):
    """Its deviation is 0, and a ratio to it no number."""

    def flat(x, point):
        return d.Clean(0.0 * x + 0.3, (x - point.noise.alpha * 0.3) / point.noise.sigma)

    of_class, _ = classes()
    p = point(d.cosine(), 0.5)
    rescaled = jax.jit(d.rescaled(flat, of_class, axes=-1))
    np.testing.assert_allclose(rescaled(rows(), p).x0, 0.3, rtol=1e-12)
    assert jnp.isfinite(jax.jacobian(lambda x: rescaled(x, p).x0)(rows())).all()


def test_clipping_changes_what_is_outside_alone(x64):
    """x̂_0 is numpy's clip of it; where nothing was clipped ε̂ keeps every bit."""
    of_class, _ = classes()
    p, x = point(d.cosine(), 0.5), rows(20)
    before, after = of_class(x, p), d.clipped(of_class, -0.2, 0.9)(x, p)
    np.testing.assert_array_equal(after.x0, np.clip(before.x0, -0.2, 0.9))
    inside = np.asarray((before.x0 >= -0.2) & (before.x0 <= 0.9))
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(after.eps[inside], before.eps[inside])


def test_a_dynamic_threshold_is_a_percentile_of_each_example(x64):
    """Clipped to s = max(percentile, limit) and divided by s/limit, as numpy has it."""
    of_class, _ = classes()
    p, x, limit = point(d.cosine(), 0.5), 3 * rows(24).reshape(4, 6, 2), 1.7
    before = np.asarray(of_class(x, p).x0)
    after = d.dynamic_threshold(of_class, 70.0, limit, axes=(1, 2))(x, p).x0
    s = np.percentile(np.abs(before).reshape(4, -1), 70.0, axis=1)
    assert s.min() < limit < s.max()
    s = np.maximum(s, limit)[:, None, None]
    np.testing.assert_allclose(after, np.clip(before, -s, s) / s * limit, rtol=1e-12)
    assert np.abs(after).max() == limit


def test_a_guided_grid_ends_clean():
    """A solver under guidance, in one interval, with a threshold: within the data's range."""
    of_class, of_all = classes()
    told = d.clipped(d.guided(of_class, of_all, 4.0, interval=(0.1, 5.0)))
    grid = d.points(d.rectified(), d.grid.uniform(20))
    x = jax.random.normal(jax.random.key(0), (100, 2))
    found = jax.jit(lambda x: d.integrate(d.dpm_plus_plus(), told, grid, x, jax.random.key(1)))(x)
    assert jnp.abs(found).max() <= 1
    assert jnp.abs(found).min() < 0.5


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda f: d.guided(f, f, 2.0, interval=(2.0, 1.0)), "interval"),
        (lambda f: d.rescaled(f, f, 1.5, axes=-1), "share"),
        (lambda f: d.clipped(f, 1.0, -1.0), "low"),
        (lambda f: d.dynamic_threshold(f, 0.0, axes=-1), "percentile"),
        (lambda f: d.dynamic_threshold(f, 99.0, 0.0, axes=-1), "limit"),
    ],
)
def test_bad_numbers_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make(lambda x, point: d.Clean(x, x))
