# SPDX-License-Identifier: Apache-2.0
"""Inverse problems with a correlated Gaussian prior, whose conditional laws are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml import diffusion as d
from tests.diffusion.case import at

MEAN = np.array([0.3, -0.2])
COVARIANCE = np.array([[0.5, 0.42], [0.42, 0.6]])
KNOWN = 1.6
N = 50_000


def prior(dtype="f4"):
    return d.gaussian_denoiser(jnp.asarray(MEAN, dtype), jnp.asarray(COVARIANCE, dtype))


def conditional():
    """Mean and variance of the second number, given the first."""
    gain = COVARIANCE[1, 0] / COVARIANCE[0, 0]
    return MEAN[1] + gain * (KNOWN - MEAN[0]), COVARIANCE[1, 1] - gain * COVARIANCE[0, 1]


def law_of_inpainting(grid, n_resample, large):
    """Mean and covariance of x, carried through ancestral steps, replacement and noise back up."""
    alpha, sigma = (np.asarray(a, "f8") for a in grid.noise[:2])
    mean, covariance = np.zeros(2), sigma[0] ** 2 * np.eye(2)
    for i in range(len(alpha) - 1):
        (a, s), (b, r) = (alpha[i], sigma[i]), (alpha[i + 1], sigma[i + 1])
        lost = 1 - (a * r / (b * s)) ** 2
        gain = a * COVARIANCE @ np.linalg.inv(a**2 * COVARIANCE + s**2 * np.eye(2))
        step = a / b * (r / s) ** 2 * np.eye(2) + b * lost * gain
        shift = b * lost * (MEAN - a * gain @ MEAN)
        times = n_resample if r > 0 else 1
        for j in range(times):
            mean = step @ mean + shift
            added = 0.0 if r == 0 else (s**2 if large else r**2) * lost
            covariance = step @ covariance @ step.T + added * np.eye(2)
            mean[0], covariance[0], covariance[:, 0] = b * KNOWN, 0.0, 0.0
            covariance[0, 0] = r**2
            if j < times - 1:
                mean = a / b * mean
                covariance = (a / b) ** 2 * covariance + (s**2 - (a / b * r) ** 2) * np.eye(2)
    return mean, covariance


def inpainted(grid, n_resample, large, n=N):
    known = jnp.tile(jnp.asarray([KNOWN, jnp.nan]), (n, 1))
    steps = d.ancestral(large=large)
    solver = d.inpaint(steps, known, ~jnp.isnan(known), n_resample=n_resample)
    x = grid.noise.sigma[0] * jax.random.normal(jax.random.key(0), (n, 2))
    return jax.jit(lambda x: d.integrate(solver, prior(), grid, x, jax.random.key(1)))(x)


@pytest.mark.parametrize(
    ("n_resample", "clean", "large"), [(1, True, False), (4, False, False), (3, True, True)]
)
def test_inpainting_has_the_law_of_its_recursion(n_resample, clean, large):
    """The first number is the known one at a clean end; the second has the law of affine steps."""
    grid = d.points(d.cosine(), jnp.linspace(0.95, 0.05, 21), clean=clean)
    mean, covariance = law_of_inpainting(grid, n_resample, large)
    x = np.asarray(inpainted(grid, n_resample, large), "f8")
    if clean:
        np.testing.assert_array_equal(x[:, 0], np.float32(KNOWN))
    variances = covariance.diagonal()
    np.testing.assert_array_less(np.abs(x.mean(0) - mean), 4.5 * np.sqrt(variances / N) + 1e-6)
    spread = np.sqrt((np.outer(variances, variances) + covariance**2) / N)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - covariance), 4.5 * spread + 1e-6)


@pytest.mark.parametrize(
    ("large", "wrong"), [(False, [0.2920, -0.0247, -0.1782]), (True, [0.3916, 0.1096, 0.0302])]
)
def test_replacement_is_biased_and_repeats_shrink_the_bias(large, wrong):
    """The exact law of the unknown part against the conditional law, by the recursion above.

    The mean's error falls to a third and to a quarter; the variance shows that of every step.
    """
    grid = d.points(d.cosine(), jnp.linspace(1.0, 0.0, 101))
    mean, variance = conditional()
    laws = [law_of_inpainting(grid, n, large) for n in (1, 4, 16)]
    biases = [(m[1] - mean) / np.sqrt(variance) for m, _ in laws]
    np.testing.assert_allclose(biases, [-0.9467, -0.3065, -0.0785], atol=2e-4)
    np.testing.assert_allclose([c[1, 1] / variance - 1 for _, c in laws], wrong, atol=2e-4)


def test_gradients_pass_and_the_unknown_is_not_read():
    """With NaN for what is unknown: finite ends and gradients, from no signal to no noise."""
    grid = d.points(d.rectified(), jnp.asarray([1.0, 0.6, 0.2]))
    known = jnp.asarray([[KNOWN, jnp.nan], [jnp.nan, 0.1]])

    def end(x, known):
        solver = d.inpaint(d.ddim(0.5), known, ~jnp.isnan(known), n_resample=3)
        return jnp.sum(jnp.square(d.integrate(solver, prior(), grid, x, jax.random.key(0))))

    value, slopes = jax.jit(jax.value_and_grad(end, (0, 1)))(jnp.ones((2, 2)), known)
    assert all(jnp.isfinite(a).all() for a in (value, *slopes))
    np.testing.assert_array_equal(slopes[1] != 0, ~jnp.isnan(known))


def measurement(seed=0):
    """A wide matrix, its pseudo-inverse, a prior in three dimensions and y."""
    rng = np.random.default_rng(seed)
    a, root = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    return a, np.linalg.pinv(a), root @ root.T / 3 + 0.1 * np.eye(3), rng.normal(size=2)


@pytest.mark.parametrize(
    "solver", [d.ddim(), d.ancestral(), d.heun(), d.dpm_plus_plus(3), d.unipc(3), d.deis(3)]
)
def test_what_was_measured_is_met_exactly(solver, x64):
    """A x = y at a clean end to ten digits, from no signal, by solvers of every kind."""
    a, inverse, covariance, y = map(jnp.asarray, measurement())
    denoise = d.null_space(
        d.gaussian_denoiser(jnp.ones(3), covariance),
        lambda x: x @ a.T,
        lambda y: y @ inverse.T,
        jnp.tile(y, (5, 1)),
    )
    grid = d.points(d.rectified(), d.grid.uniform(8))
    x = jax.random.normal(jax.random.key(0), (5, 3), "f8")
    found = jax.jit(lambda x: d.integrate(solver, denoise, grid, x, jax.random.key(1)))(x)
    np.testing.assert_allclose(found @ a.T, jnp.tile(y, (5, 1)), atol=1e-10)
    assert np.std(found, axis=0).min() > 1e-3


def test_the_null_space_is_left_alone(x64):
    """(I − A⁺A) x̂_0 is the prior's, and x̂_0 and ε̂ make x."""
    a, inverse, covariance, y = map(jnp.asarray, measurement())
    plain = d.gaussian_denoiser(jnp.ones(3), covariance)
    told = d.null_space(plain, lambda x: x @ a.T, lambda y: y @ inverse.T, y)
    x, t = jnp.asarray([0.3, -1.0, 0.8]), jnp.asarray(0.4)
    point = d.Points(t, d.cosine().at(t))
    found, before = told(x, point), plain(x, point)
    rest = np.eye(3) - np.asarray(inverse @ a)
    np.testing.assert_allclose(rest @ found.x0, rest @ before.x0, atol=1e-12)
    np.testing.assert_allclose(a @ found.x0, y, atol=1e-12)
    again = point.noise.alpha * found.x0 + point.noise.sigma * found.eps
    np.testing.assert_allclose(again, x, atol=1e-12)


NOISE = 0.3


def posterior_law(a, covariance, y):
    """Mean and covariance of x_0 of mean 1, given y = A x_0 + 0.3 n."""
    gain = covariance @ a.T @ np.linalg.inv(a @ covariance @ a.T + NOISE**2 * np.eye(2))
    return 1 + gain @ (y - a @ np.ones(3)), covariance - gain @ a @ covariance


def test_the_exact_likelihood_gives_the_score_of_the_posterior(x64):
    """p(y | x_t) = N(A x̂_0, A C A' + s² I), C the covariance of x_0 given x_t: to nine digits."""
    a, _, covariance, y = measurement()
    plain = d.gaussian_denoiser(jnp.ones(3), jnp.asarray(covariance))
    exact = d.gaussian_denoiser(*map(jnp.asarray, posterior_law(a, covariance, y)))

    def log_likelihood(x0, point):
        alpha, sigma, _ = point.noise
        total = alpha**2 * covariance + sigma**2 * np.eye(3)
        left = covariance - alpha**2 * covariance @ jnp.linalg.solve(total, covariance)
        precision = jnp.linalg.inv(a @ left @ a.T + NOISE**2 * np.eye(2))
        rest = y.reshape(1, 2) - x0 @ a.T
        return -0.5 * jnp.einsum("ni,ij,nj->n", rest, precision, rest)

    found, expected = jax.jit(d.posterior_guided(plain, log_likelihood)), jax.jit(exact)
    draws = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)))
    for schedule in (d.edm(), d.cosine(), d.rectified()):
        for t in map(jnp.asarray, (0.1, 0.5, 0.9)):
            point = d.Points(t, schedule.at(t))
            x = draws * jnp.hypot(point.noise.alpha, point.noise.sigma)
            for a_part, other in zip(found(x, point), expected(x, point), strict=True):
                np.testing.assert_allclose(a_part, other, rtol=1e-9, atol=1e-8)


def test_the_gradient_goes_through_the_denoiser(x64):
    """ε̂ − c σ J' A' (y − A x̂_0)/s², J = α S (α² S + σ² I)⁻¹, for the paper's likelihood."""
    a, _, covariance, y = measurement()
    plain = d.gaussian_denoiser(jnp.ones(3), jnp.asarray(covariance))
    t = jnp.asarray(0.4)
    point, x = d.Points(t, d.cosine().at(t)), jnp.asarray([0.3, -1.0, 0.8])
    alpha, sigma = float(point.noise.alpha), float(point.noise.sigma)

    def log_likelihood(x0, point):
        return -0.5 * jnp.sum(jnp.square(y - a @ x0)) / NOISE**2

    before = plain(x, point)
    slope = alpha * covariance @ np.linalg.inv(alpha**2 * covariance + sigma**2 * np.eye(3))
    force = slope.T @ a.T @ (y - a @ np.asarray(before.x0)) / NOISE**2
    for scale in (1.0, 0.3):
        found = jax.jit(d.posterior_guided(plain, log_likelihood, scale))(x, point)
        np.testing.assert_allclose(found.eps, before.eps - scale * sigma * force, rtol=1e-10)
        np.testing.assert_allclose(alpha * found.x0 + sigma * found.eps, x, rtol=1e-10)


def test_without_signal_or_noise_the_prior_is_left(x64):
    """At α = 0 and σ = 0: nothing to steer by and nothing to steer; gradients are finite."""
    a, _, covariance, y = measurement()
    plain = d.gaussian_denoiser(jnp.ones(3), jnp.asarray(covariance))
    told = d.posterior_guided(plain, lambda x0, point: -jnp.sum(jnp.square(y - a @ x0)))
    look = jax.jit(lambda x, p: (told(x, p), plain(x, p), jax.jacobian(lambda x: told(x, p))(x)))
    grid, x = d.points(d.rectified(), jnp.asarray([1.0, 0.5])), jnp.asarray([0.3, -1.0, 0.8])
    for i in (0, 2):
        found, before, slopes = look(x, at(grid, i))
        jax.tree.map(np.testing.assert_allclose, found, before)
        assert all(jnp.isfinite(s).all() for s in slopes)


def test_no_repeats_at_all_are_refused():
    with pytest.raises(ValueError, match="n_resample"):
        d.inpaint(d.ancestral(), jnp.zeros(2), jnp.zeros(2, bool), n_resample=0)
