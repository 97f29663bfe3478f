# SPDX-License-Identifier: Apache-2.0
"""Maximum likelihood: no slope, nothing better nearby, and the bias by all samples there are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

from jaxml.probability import bernoulli, laplace, normal, poisson
from jaxml.probability import maximum_likelihood as ml

RNG = np.random.default_rng(5)
N, D = 37, 3


def full_normal(parameters, x):
    """Σ log N(x; μ, (LLᵀ)), with L = the lower part of a matrix."""
    mean, factor = parameters
    white = jax.scipy.linalg.solve_triangular(factor, (x - mean[None]).T, lower=True)
    log_det = jnp.sum(jnp.log(jnp.abs(jnp.diagonal(factor))))
    return -0.5 * jnp.sum(white**2) - len(x) * (log_det + 0.5 * D * jnp.log(2 * jnp.pi))


def full_estimate(x):
    found = ml.multivariate_normal(x)
    return found.mean, jnp.linalg.cholesky(found.covariance)


def normal_estimate(x):
    found = ml.normal(x)
    return found.mean, jnp.log(found.variance)


def wide(f, n):
    """A log-probability of one element with its parameters repeated for N draws."""
    return lambda parameters, x: jnp.sum(
        f(x, *(jnp.broadcast_to(p[None], x.shape) for p in parameters[:n]))
    )


TRIALS = RNG.integers(1, 30, size=(N, D)) * 1.0
CASES = {
    "normal": (wide(normal.log_prob, 2), normal_estimate, RNG.normal(3, 2, size=(N, D))),
    "multivariate_normal": (
        full_normal, full_estimate, RNG.normal(size=(N, D)) @ RNG.normal(size=(D, D)) + 2),
    "bernoulli": (wide(bernoulli.log_prob, 1), lambda x: (ml.bernoulli(x),),
                  RNG.binomial(1, [0.2, 0.5, 0.9], size=(N, D)) * 1.0),
    "binomial": (
        lambda parameters, k: jnp.sum(
            k * jax.nn.log_sigmoid(parameters[0])[None]
            + (jnp.asarray(TRIALS) - k) * jax.nn.log_sigmoid(-parameters[0])[None]),
        lambda k: (ml.binomial(k, jnp.asarray(TRIALS)),),
        RNG.binomial(TRIALS.astype(int), [0.1, 0.5, 0.99]) * 1.0),
    "poisson": (wide(poisson.log_prob, 1), lambda y: (ml.poisson(y),),
                RNG.poisson([0.3, 4, 200], size=(N, D)) * 1.0),
    "laplace": (wide(laplace.log_prob, 2), lambda x: tuple(ml.laplace(x)),
                RNG.laplace(1, 3, size=(N, D))),
    "categorical": (
        lambda parameters, counts: jnp.sum(counts * jax.nn.log_softmax(parameters[0])),
        lambda counts: (ml.categorical(counts),), RNG.integers(1, 50, size=(4, D)) * 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_likelier(name, x64):
    """No slope at the estimate; 2000 points around it are worse; SciPy's search ends there."""
    log_likelihood, estimate, x = CASES[name]
    x = jnp.asarray(x)
    theta, unravel = ravel_pytree(estimate(x))
    theta = np.asarray(theta)
    if name == "multivariate_normal":  # what is above the diagonal is no parameter
        free = np.concatenate([np.ones(D), np.tri(D).ravel()]) > 0
        free = np.eye(len(theta))[free].T
    else:
        free = np.eye(len(theta))
    value = jax.jit(lambda t: log_likelihood(unravel(t), x))
    slope = jax.jit(jax.grad(lambda t: log_likelihood(unravel(t), x)))
    best = value(theta)
    assert np.isfinite(best)
    assert np.abs(free.T @ np.asarray(slope(theta))).max() < 1e-10 * (1 + np.abs(best))
    steps = RNG.normal(size=(2000, free.shape[1])) * np.geomspace(1e-2, 1, 2000)[:, None]
    beside = jax.jit(jax.vmap(lambda t: log_likelihood(unravel(t), x)))(theta + steps @ free.T)
    assert (np.asarray(beside) < best if name != "categorical" else beside < best + 1e-9).all()
    assert np.mean(np.asarray(beside) < best - 1e-4) > 0.8

    start = free.T @ theta * 0.8 + 0.1
    place = lambda v: jnp.asarray(free @ v)  # noqa: E731
    options = {"maxiter": 4000, "gtol": 1e-9, "ftol": 1e-15, "maxfun": 10_000}
    found = scipy.optimize.minimize(
        lambda v: -float(value(place(v))), start, method="L-BFGS-B", options=options,
        jac=lambda v: -free.T @ np.asarray(slope(place(v))))  # fmt: skip
    assert abs(-found.fun - best) < 1e-8 * (1 + abs(best)) or name == "laplace"
    if name not in ("laplace", "categorical"):  # a corner; and a constant is free
        np.testing.assert_allclose(found.x, free.T @ theta, rtol=1e-4, atol=1e-5)


def test_estimates_are_numpys_and_scipys(x64):
    """Moments, medians, shares; covariances with any divisor."""
    x = RNG.normal(5, 2, size=(40, 3))
    for ddof in (0, 1, 5):
        one, many = (f(jnp.asarray(x), ddof=ddof) for f in (ml.normal, ml.multivariate_normal))
        np.testing.assert_allclose(one.mean, x.mean(0), rtol=1e-14)
        np.testing.assert_allclose(one.variance, x.var(0, ddof=ddof), rtol=1e-13)
        np.testing.assert_allclose(many.mean, x.mean(0), rtol=1e-14)
        np.testing.assert_allclose(many.covariance, np.cov(x.T, ddof=ddof), rtol=1e-12)
    for column, location, log_scale in zip(x.T, *ml.laplace(jnp.asarray(x)), strict=True):
        np.testing.assert_allclose(
            (location, np.exp(log_scale)), scipy.stats.laplace.fit(column), rtol=1e-12
        )
    counts = np.array([[3, 0, 1], [2, 2, 4]])
    shares = np.exp(ml.categorical(jnp.asarray(counts)))
    np.testing.assert_allclose(shares, counts / counts.sum(-1, keepdims=True), rtol=1e-6)
    flags = jnp.asarray([[True, False], [True, True], [True, False]])
    np.testing.assert_allclose(jax.nn.sigmoid(ml.bernoulli(flags)), [1, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_bias_of_the_variance_over_all_samples(n, x64):
    """E σ̂² = (N − 1)/N σ² and E of ddof = 1 is σ², exactly; so for covariances.

    All 4^N samples of a population of four points with unequal probabilities. In the derivation
    E σ̂² = E (1/N) Σ x_i² − E x̄², the first term is often printed without its 1/N: it then is N
    times as large, and the bias no longer comes out.
    """
    points = np.array([[-1.0, 0.5], [0.0, 2.0], [2.0, 1.0], [7.0, -3.0]])
    chance = np.array([0.4, 0.3, 0.2, 0.1])
    index = np.array(list(itertools.product(range(4), repeat=n)))
    samples, weight = points[index], chance[index].prod(1)
    assert weight.sum() == pytest.approx(1)
    center = chance @ points
    truth = (points - center).T * chance @ (points - center)

    def over_all(ddof):
        one = jax.jit(jax.vmap(lambda x: ml.normal(x, ddof=ddof)))(jnp.asarray(samples))
        many = jax.jit(jax.vmap(lambda x: ml.multivariate_normal(x, ddof=ddof)))
        np.testing.assert_allclose(weight @ one.mean, center, rtol=1e-12)
        covariance = np.tensordot(weight, many(jnp.asarray(samples)).covariance, 1)
        return weight @ one.variance, covariance

    for ddof, factor in ((0, (n - 1) / n), (1, 1.0)):
        variance, covariance = over_all(ddof)
        np.testing.assert_allclose(variance, factor * np.diag(truth), rtol=1e-12)
        np.testing.assert_allclose(covariance, factor * truth, rtol=1e-12)
    squares, mean_squared = weight @ (samples**2).sum(1), weight @ samples.mean(1) ** 2
    biased = (n - 1) / n * np.diag(truth)
    np.testing.assert_allclose(squares / n - mean_squared, biased, rtol=1e-12)
    printed = squares - mean_squared
    np.testing.assert_allclose(printed - biased, (1 - 1 / n) * squares, rtol=1e-12)
    assert (printed > 1.5 * biased).all()


def test_the_slope_in_the_mean(x64):
    """∂ log p/∂μ = Σ (x_i − μ)/σ², and neither its negative nor Σ (x_i − μ), as often printed."""
    x, log_variance = jnp.asarray(RNG.normal(1, 2, size=9)), jnp.asarray(np.log(4.0))
    for mean in (-1.0, 0.3, 2.5):
        slope = jax.grad(lambda m: normal.log_prob(x, m, log_variance).sum())(jnp.asarray(mean))
        differences = np.sum(np.asarray(x) - mean)
        np.testing.assert_allclose(slope, differences / 4, rtol=1e-12)
        for printed in (-differences / 4, differences, -differences):
            assert abs(printed - slope) > 0.1
    assert np.sign(slope) == np.sign(x.mean() - 2.5)  # uphill is towards the data


def test_edges_and_bad_divisors():
    """Suprema without maximum come out as infinities, large means leave the variance its digits."""
    assert ml.bernoulli(jnp.ones(3)) == jnp.inf
    assert ml.bernoulli(jnp.zeros(3)) == -jnp.inf
    assert ml.poisson(jnp.zeros(3, jnp.int32)) == -jnp.inf
    assert ml.laplace(jnp.full(3, 2.0)).log_scale == -jnp.inf
    assert ml.normal(jnp.full(3, 2.0)).variance == 0
    assert (ml.categorical(jnp.array([0, 4])) == jnp.array([-jnp.inf, 0])).all()
    x = np.float32(1e6) + np.arange(1001, dtype=np.float32) / 16
    found = ml.normal(jnp.asarray(x))
    np.testing.assert_allclose(found.variance, np.var(x.astype(np.float64)), rtol=1e-6)
    x = np.float32(1e4) + np.random.default_rng(2).random(99_991, np.float32)
    found = ml.normal(jnp.asarray(x))
    np.testing.assert_allclose(found.mean, np.mean(x.astype(np.float64)), rtol=6e-8)
    halves = ml.normal(jnp.asarray([1.0, 2.0], jnp.bfloat16))
    assert halves.mean.dtype == jnp.float32
    for ddof in (2, -1):
        for f in (ml.normal, ml.multivariate_normal):
            with pytest.raises(ValueError, match="ddof"):
                f(jnp.ones((2, 2)), ddof=ddof)
