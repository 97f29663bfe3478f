# SPDX-License-Identifier: Apache-2.0
"""Exact denoisers against autodiff, quadrature and an adaptive solver."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm

from jaxml import diffusion as d

WEIGHTS = np.array([0.2, 0.5, 0.3])


def law(dimensions, seed=0):
    """Weights, means and correlated covariances."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(3, dimensions, dimensions))
    covariances = 0.3 * roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(dimensions)
    return tuple(map(jnp.asarray, (WEIGHTS, rng.normal(size=(3, dimensions)), covariances)))


def point(schedule, t):
    t = jnp.asarray(t)
    return d.Points(t, schedule.at(t))


SCHEDULES = {"edm": d.edm(), "cosine": d.cosine(), "rectified": d.rectified()}


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_score_is_the_gradient_of_the_log_density(dimensions, x64):
    """−ε/σ = ∇ log q(x_t) to 10 digits, and x̂_0 and ε̂ make x_t, at all noises."""
    parts = law(dimensions)
    denoise = jax.jit(d.mixture_denoiser(*parts))
    slope = jax.jit(jax.vmap(jax.grad(d.mixture_log_prob(*parts)), (0, None)))
    draws = jnp.asarray(np.random.default_rng(1).normal(size=(5, dimensions)))
    for schedule in SCHEDULES.values():
        for t in (0.1, 0.5, 0.9):
            p = point(schedule, t)
            x = jnp.hypot(p.noise.alpha, p.noise.sigma) * draws
            clean = denoise(x, p)
            np.testing.assert_allclose(
                -clean.eps / p.noise.sigma, slope(x, p), rtol=1e-10, atol=1e-12
            )
            again = p.noise.alpha * clean.x0 + p.noise.sigma * clean.eps
            np.testing.assert_allclose(again, x, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_one_dimension_agrees_with_quadrature(schedule, x64):
    """q(x_t) = ∫ p(x_0) N(x_t; α x_0, σ²) dx_0 and E[x_0 | x_t], by their integrals."""
    weights, means, covariances = law(1)
    log_prob = jax.jit(d.mixture_log_prob(weights, means, covariances))
    denoise = jax.jit(d.mixture_denoiser(weights, means, covariances))
    m, s = np.asarray(means[:, 0]), np.sqrt(np.asarray(covariances[:, 0, 0]))
    for x, t in itertools.product((-0.7, 0.1, 1.3), (0.2, 0.5, 0.9)):
        p = point(schedule, t)
        alpha, sigma = float(p.noise.alpha), float(p.noise.sigma)
        x = x * np.hypot(alpha, sigma)

        def joint(x0, power, x=x, alpha=alpha, sigma=sigma):
            return x0**power * (WEIGHTS @ norm.pdf(x0, m, s)) * norm.pdf(x, alpha * x0, sigma)

        places = [place for place in (x / alpha, *m) if abs(place) < 12]
        total, first = (
            quad(joint, -12, 12, (k,), points=places, epsabs=0, epsrel=1e-12, limit=400)[0]
            for k in (0, 1)
        )
        row = jnp.asarray([[x]])
        np.testing.assert_allclose(log_prob(row, p)[0], np.log(total), rtol=1e-10, atol=1e-10)
        found = denoise(row, p).x0[0, 0]
        np.testing.assert_allclose(found, first / total, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_a_gaussian_has_the_matrix_formula(schedule, x64):
    """m + α S (α² S + σ² I)⁻¹ (x − α m), with numpy's inverse."""
    _, means, covariances = law(3)
    mean, covariance, p = means[0], covariances[0], point(schedule, 0.4)
    x = np.random.default_rng(1).normal(size=(2, 4, 3))
    alpha, sigma = float(p.noise.alpha), float(p.noise.sigma)
    s = np.asarray(covariance)
    inverse = np.linalg.inv(alpha**2 * s + sigma**2 * np.eye(3))
    centred = x - alpha * np.asarray(mean)
    found = jax.jit(d.gaussian_denoiser(mean, covariance))(jnp.asarray(x), p)
    expected = np.asarray(mean) + alpha * centred @ inverse @ s
    np.testing.assert_allclose(found.x0, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.eps, sigma * centred @ inverse, rtol=1e-10, atol=1e-12)


def test_every_row_may_have_its_own_noise(x64):
    """Rows with a noise each are the same as one call a row."""
    parts, schedule, t = law(2), d.cosine(), jnp.asarray([0.1, 0.5, 0.8])
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2)))
    denoise = jax.jit(d.mixture_denoiser(*parts))
    together = denoise(x, d.Points(t, schedule.at(t)))
    for i in range(3):
        alone = denoise(x[i], point(schedule, t[i]))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b), together, alone)


def test_without_signal_x0_is_the_mean_and_without_noise_x(x64):
    """At α = 0 and at σ = 0 values and gradients are finite and right."""
    parts = law(2)
    denoise, x = jax.jit(d.mixture_denoiser(*parts)), jnp.asarray([0.3, -1.0])
    ends = d.points(d.rectified(), jnp.asarray([1.0, 0.5]))
    for i, expected in ((0, WEIGHTS @ np.asarray(parts[1])), (2, x)):
        p = jax.tree.map(lambda a, i=i: a[i], ends)
        np.testing.assert_allclose(denoise(x, p).x0, expected, rtol=1e-12)
        slope = jax.jacobian(denoise)(x, p).x0
        np.testing.assert_allclose(slope, (i == 2) * np.eye(2), atol=1e-12)


def flow(denoise, x, first, last):
    """The probability flow d(x/α) = ε d(σ/α), by an adaptive method of eighth order in log σ/α."""

    @jax.jit
    def slope(log_rho, y):
        rho = jnp.exp(log_rho)
        return rho * denoise(y.reshape(x.shape), d.Points(rho, d.Noise(1 + 0 * rho, rho, rho))).eps

    ends = [float(-0.5 * noise.log_snr) for noise in (first, last)]
    found = solve_ivp(
        lambda t, y: np.asarray(slope(t, y)).ravel(),
        ends,
        (x / float(first.alpha)).ravel(),
        "DOP853",
        rtol=1e-11,
        atol=1e-11,
    )
    return found.y[:, -1].reshape(x.shape) * float(last.alpha)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_paths_are_those_of_the_probability_flow(schedule, x64):
    """A correlated Gaussian and a mixture of numbers, by scipy, to nine digits."""
    noises = [schedule.at(jnp.asarray(t)) for t in (0.8, 0.1)]
    _, means, covariances = law(2)
    x = np.array([[0.4, -1.1]])
    path = d.gaussian_path(means[0], covariances[0])
    found = flow(d.gaussian_denoiser(means[0], covariances[0]), x, *noises)
    np.testing.assert_allclose(path(jnp.asarray(x), *noises), found, rtol=1e-9)
    weights, means, covariances = law(1)
    x = np.array([[-2.0], [0.3], [1.5]])
    path = jax.jit(d.mixture_path(weights, means[:, 0], covariances[:, 0, 0]))
    found = flow(d.mixture_denoiser(weights, means, covariances), x, *noises)
    np.testing.assert_allclose(path(jnp.asarray(x), *noises), found, rtol=1e-9)


def test_a_path_keeps_its_digits_in_the_tails(x64):
    """Twenty deviations out, where a distribution function is 1, and there and back again."""
    weights, means, covariances = law(1)
    path = jax.jit(d.mixture_path(weights, means[:, 0], covariances[:, 0, 0]))
    first, last = (d.cosine().at(jnp.asarray(t)) for t in (0.9, 0.2))
    x = jnp.asarray([-20.0, -1.0, 0.0, 8.0, 20.0])
    np.testing.assert_allclose(path(path(x, first, last), last, first), x, rtol=1e-10, atol=1e-10)
