# SPDX-License-Identifier: Apache-2.0
"""Solvers with noise on Gaussian data: every step is affine, so that laws are known at any length.

Means and variances are carried from step to step in numpy and met by many draws.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import MEAN, VARIANCE, at, denoise, runs

N = 100_000
START = (0.5, 1.7)
"""Mean and variance of x at the first point, in units of what is right there."""


def assert_law(x, mean, variance):
    """Mean and variance of N draws within 4.5 standard errors."""
    x = np.asarray(x, "f8")
    assert abs(x.mean() - mean) < 4.5 * np.sqrt(variance / N), (x.mean(), mean)
    assert abs(x.var() / variance - 1) < 4.5 * np.sqrt(2 / N), (x.var(), variance)


def begin(noise):
    """Draws at a first point that is not quite right, so that a step has something to do."""
    total = float(noise.alpha**2 * VARIANCE + noise.sigma**2)
    mean, variance = START[0] * np.sqrt(total), START[1] * total
    z = jax.random.normal(jax.random.key(1), (N,))
    return mean, variance, mean + np.float32(np.sqrt(variance)) * z


def points_of(grid):
    """α, σ, α m and α² v + σ² at each point, in double precision."""
    alpha, sigma = (np.asarray(a, "f8") for a in grid.noise[:2])
    return alpha, sigma, alpha * MEAN, alpha**2 * VARIANCE + sigma**2


def rates_linear(t):
    """f = −½ β and g² = β, with β = 0.1 + 19.9 t."""
    beta = 0.1 + 19.9 * t
    return -0.5 * beta, beta


def rates_exploding(t):
    """f = 0 and g² = dσ²/dt with σ = 0.01 · 5000^t."""
    return 0.0, 2 * np.log(5000.0) * (0.01 * 5000.0**t) ** 2


def after_euler(rates, grid, times, mean, variance):
    """x_s = x − f x Δ − g² (x − α m)/(α² v + σ²) Δ + g √Δ z, and at a clean end E[x_0 | x]."""
    alpha, sigma, right, total = points_of(grid)
    for i in range(len(alpha) - 1):
        if sigma[i + 1] == 0:
            gain = alpha[i] * VARIANCE / total[i]
            return MEAN + gain * (mean - right[i]), gain**2 * variance
        f, g2 = rates(times[i])
        length = times[i] - times[i + 1]
        gain = 1 - length * f - length * g2 / total[i]
        mean = gain * mean + length * g2 / total[i] * right[i]
        variance = gain**2 * variance + g2 * length
    return mean, variance


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    ("schedule", "rates"),
    [(d.linear(), rates_linear), (d.variance_exploding(), rates_exploding)],
    ids=["linear", "exploding"],
)
def test_euler_maruyama_has_the_law_of_its_recursion(schedule, rates, clean):
    """With closed-form rates, forty steps that are far from exact; a thousand are not."""
    times = np.linspace(0.9, 0.05, 41)
    grid = d.points(schedule, jnp.asarray(times, "f4"), clean=clean)
    mean, variance, x = begin(at(grid.noise, 0))
    found = runs(d.euler_maruyama(schedule), [grid], [x])
    assert_law(found, *after_euler(rates, grid, times, mean, variance))
    fine = np.linspace(1.0, 1e-3, 1001)
    grid = d.points(schedule, jnp.asarray(fine, "f4"))
    mean, variance = after_euler(rates, grid, fine, 0.0, points_of(grid)[1][0] ** 2)
    np.testing.assert_allclose([mean, variance], [MEAN, VARIANCE], rtol=0.02)


def test_a_beginning_without_signal_is_a_draw_of_the_posterior():
    """From α = 0 in one step: N(α_s x̂_0, σ_s²), of which x at the beginning says nothing."""
    grid = d.points(d.rectified(), jnp.asarray([1.0, 0.7]), clean=False)
    found = runs(d.euler_maruyama(d.rectified()), [grid], [jnp.full(N, 3.0)])
    assert_law(found, 0.3 * MEAN, 0.7**2)


def test_langevin_steps_of_one_length_have_a_known_law():
    """On a correlated Gaussian of precision A they end in A⁻¹ (I − h A/2)⁻¹, and not in A⁻¹."""
    covariance, mean = np.array([[0.5, 0.3], [0.3, 0.4]]), np.array([0.4, -0.2])
    schedule, t = d.cosine(), jnp.asarray(0.3)
    point = d.Points(t, schedule.at(t))
    alpha, sigma = float(point.noise.alpha), float(point.noise.sigma)
    total = alpha**2 * covariance + sigma**2 * np.eye(2)
    h = 0.8 * np.linalg.eigvalsh(total)[0]
    exact = d.gaussian_denoiser(jnp.asarray(mean, "f4"), jnp.asarray(covariance, "f4"))

    def step(x, key):
        return d.langevin(exact, x, point, key, lambda score, z: jnp.asarray(h, "f4")), None

    keys = jax.random.split(jax.random.key(0), 60)
    x = np.asarray(jax.jit(lambda x: jax.lax.scan(step, x, keys)[0])(jnp.zeros((N, 2))), "f8")
    expected = total @ np.linalg.inv(np.eye(2) - h / 2 * np.linalg.inv(total))
    assert expected[0, 0] / total[0, 0] > 1.1
    np.testing.assert_allclose(
        x.mean(0), alpha * mean, atol=4.5 * np.sqrt(expected.diagonal().max() / N)
    )
    variances = expected.diagonal()
    spread = np.sqrt((np.outer(variances, variances) + expected**2) / N)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - expected), 4.5 * spread)


@pytest.mark.parametrize("t", [0.1, 0.6])
def test_the_signal_to_noise_rule_leaves_1_plus_r2_of_the_variance(t):
    """At any noise: h = 2 r² V/(1 + r²) is where step and variance agree."""
    schedule, r = d.cosine(), 0.5
    point = d.Points(jnp.asarray(t), schedule.at(jnp.asarray(t)))

    def step(x, key):
        return d.langevin(denoise, x, point, key, d.signal_to_noise(r)), None

    keys = jax.random.split(jax.random.key(0), 40)
    x = jax.jit(lambda x: jax.lax.scan(step, x, keys)[0])(jnp.zeros(N) + 0.5)
    total = float(point.noise.alpha**2 * VARIANCE + point.noise.sigma**2)
    assert_law(x, float(point.noise.alpha) * MEAN, (1 + r**2) * total)


def test_norms_are_of_an_example_or_of_the_batch(x64):
    """2 (r ‖z‖/‖score‖)² over the axes that are named, and 0 where there is no score."""
    rng = np.random.default_rng(0)
    score, z = rng.normal(size=(2, 3, 4, 5)) * np.array([1.0, 10.0, 0.1])[:, None, None]
    each = d.signal_to_noise(0.2, (1, 2))(jnp.asarray(score), jnp.asarray(z))
    lengths = [np.linalg.norm(a.reshape(3, -1), axis=1) for a in (z, score)]
    np.testing.assert_allclose(each[:, 0, 0], 2 * (0.2 * lengths[0] / lengths[1]) ** 2, rtol=1e-12)
    whole = d.signal_to_noise(0.2)(jnp.asarray(score), jnp.asarray(z))
    ratio = np.linalg.norm(z) / np.linalg.norm(score)
    np.testing.assert_allclose(whole, 2 * (0.2 * ratio) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(d.signal_to_noise(0.2)(jnp.zeros(3), jnp.ones(3)), 0.0)


def after_corrected_ddim(grid, n_corrector, r, mean, variance):
    """DDIM's affine step, then steps of h = 2 r²/E score² with E score² of the law as it is."""
    alpha, sigma, right, total = points_of(grid)
    for i in range(len(alpha) - 1):
        gain = (alpha[i] * alpha[i + 1] * VARIANCE + sigma[i] * sigma[i + 1]) / total[i]
        mean, variance = right[i + 1] + gain * (mean - right[i]), gain**2 * variance
        for _ in range(n_corrector if sigma[i + 1] > 0 else 0):
            c = total[i + 1]
            h = 2 * r**2 * c**2 / (variance + (mean - right[i + 1]) ** 2)
            mean = mean - h / c * (mean - right[i + 1])
            variance = (1 - h / c) ** 2 * variance + 2 * h
    return mean, variance


@pytest.mark.parametrize(("n_corrector", "clean"), [(1, False), (2, True)])
def test_correctors_follow_the_predictor_at_the_noise_it_reached(n_corrector, clean):
    """Few long steps with a wrong start: the law is that of the recursion, not of the data."""
    grid = d.points(d.cosine(), jnp.linspace(0.9, 0.1, 6), clean=clean)
    mean, variance, x = begin(at(grid.noise, 0))
    found = runs(d.predictor_corrector(d.ddim(), n_corrector, 0.3), [grid], [x])
    assert_law(found, *after_corrected_ddim(grid, n_corrector, 0.3, mean, variance))


def after_churn(grid, gamma, least, most, noise, mean, variance):
    """In x/α over ρ = σ/α: ρ̂ = (1 + γ) ρ with noise between, and Heun's affine step from there."""
    alpha, sigma, *_ = points_of(grid)
    rho = sigma / alpha
    mean, variance = mean / alpha[0], variance / alpha[0] ** 2
    for i in range(len(alpha) - 1):
        up = rho[i]
        if least <= rho[i] <= most and rho[i + 1] > 0:
            up = rho[i] * (1 + gamma)
            variance = variance + noise**2 * (up**2 - rho[i] ** 2)
        slope = up / (VARIANCE + up**2)  # ε̂ = slope · (x/α − m)
        length = rho[i + 1] - up
        gain = 1 + length * slope
        if rho[i + 1] > 0:
            gain = 1 + 0.5 * length * (slope + gain * rho[i + 1] / (VARIANCE + rho[i + 1] ** 2))
        mean, variance = MEAN + gain * (mean - MEAN), gain**2 * variance
    return alpha[-1] * mean, alpha[-1] ** 2 * variance


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("churn", [1.5, 40.0])
@pytest.mark.parametrize("schedule", [d.edm(), d.cosine()], ids=["edm", "cosine"])
def test_churn_has_the_law_of_its_recursion(schedule, churn, clean):
    """γ = churn/n or √2 − 1 at most, between two noises, too much noise by a tenth."""
    n = 10
    grid = d.points(schedule, jnp.linspace(0.9, 0.05, n + 1 - clean), clean=clean)
    mean, variance, x = begin(at(grid.noise, 0))
    solver = d.churned(schedule, n, churn=churn, least=0.2, most=3.0, noise=1.1)
    gamma = min(churn / n, 2**0.5 - 1)
    found = runs(solver, [grid], [x])
    assert_law(found, *after_churn(grid, gamma, 0.2, 3.0, 1.1, mean, variance))


def test_a_raised_level_is_told_its_own_time():
    """A network that reads t alone and takes the schedule at it does the same."""
    schedule = d.cosine()
    grid = d.points(schedule, jnp.linspace(0.9, 0.1, 9), clean=False)
    x = jax.random.normal(jax.random.key(1), (50,))

    def by_time(x, point):
        return denoise(x, d.Points(point.t, schedule.at(point.t)))

    solver = d.churned(schedule, 8)
    found = [runs(solver, [grid], [x], told) for told in (denoise, by_time)]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_without_churn_it_is_the_solver_itself():
    """With none, or an interval in which no point lies; another solver may take Heun's place."""
    assert d.churned(d.edm(), 9, churn=0.0) is d.heun()
    grid, x = d.points(d.edm(), jnp.linspace(1.0, 0.0, 9)), jnp.linspace(-80.0, 80.0, 5)
    for solver in (d.heun(), d.ddim()):
        still = d.churned(d.edm(), 9, least=0.3, most=0.3, solver=solver)
        np.testing.assert_array_equal(runs(still, [grid], [x]), runs(solver, [grid], [x]))


def test_nothing_is_raised_beyond_the_end_of_the_schedule():
    """At t = 1 the raised level is the end itself: no noise, and Heun's step."""
    grid = d.points(d.edm(), jnp.asarray([1.0, 0.5]), clean=False)
    x = jnp.linspace(-100.0, 100.0, 7)
    found = runs(d.churned(d.edm(), 1, most=100.0), [grid], [x])
    np.testing.assert_allclose(found, runs(d.heun(), [grid], [x]), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: d.signal_to_noise(0.0), "snr"),
        (lambda: d.predictor_corrector(d.ddim(), 0), "n_corrector"),
        (lambda: d.churned(d.edm(), 0), "n_steps"),
        (lambda: d.churned(d.edm(), 5, churn=-1.0), "churn"),
        (lambda: d.churned(d.edm(), 5, noise=-1.0), "noise"),
        (lambda: d.churned(d.edm(), 5, least=2.0, most=1.0), "least"),
    ],
)
def test_bad_numbers_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make()
