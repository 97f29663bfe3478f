# SPDX-License-Identifier: Apache-2.0
"""What holds for every prior and its posterior: Bayes' rule, the order of data, the predictive."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from jaxml.probability.conjugate import (
    beta_binomial,
    dirichlet_categorical,
    gamma_poisson,
    normal_inverse_gamma,
    normal_inverse_wishart,
    normal_known_variance,
)

RNG = np.random.default_rng(11)
NOISE = 0.3  # log-variance of a draw where it is known
K = 3


class Pair(NamedTuple):
    """A prior, draws, and what SciPy says of both; all data are tuples with draws first."""

    law: NamedTuple
    data: tuple
    posterior: Callable
    log_predictive: Callable  # of the tuple of one draw
    log_evidence: Callable
    mode: Callable
    log_density: Callable  # of parameters, under a law in NumPy
    log_likelihood: Callable  # of each draw, given parameters
    parameters: Callable  # some values, flat


def counts(x):
    return jnp.sum(jax.nn.one_hot(x, K, dtype=jnp.float64), axis=0)


def normal_pair(m=normal_known_variance):
    noise = jnp.float64(NOISE)
    return Pair(
        m.Normal(jnp.float64(0.5), jnp.float64(0.8)),
        (RNG.normal(2, 1.2, 9),),
        lambda law, x: m.posterior(law, x, noise),
        lambda law, x: m.log_predictive(law, x, noise),
        lambda law, x: m.log_evidence(law, x, noise),
        m.maximum_a_posteriori,
        lambda law, mu: scipy.stats.norm.logpdf(mu, law[0], np.exp(law[1] / 2)),
        lambda mu, x: scipy.stats.norm.logpdf(x, mu, np.exp(NOISE / 2)),
        lambda rng: rng.normal(1, 1),
    )


def normal_inverse_gamma_pair(m=normal_inverse_gamma):
    def log_density(law, t):
        if t[1] <= 0:
            return -np.inf
        of_variance = scipy.stats.invgamma.logpdf(t[1], law[2], scale=law[3])
        return of_variance + scipy.stats.norm.logpdf(t[0], law[0], np.sqrt(t[1] / law[1]))

    return Pair(
        m.NormalInverseGamma(*(jnp.float64(v) for v in (0.5, 1.7, 2.2, 3.1))),
        (RNG.normal(2, 1.2, 9),),
        m.posterior,
        m.log_predictive,
        m.log_evidence,
        lambda law: jnp.stack(m.maximum_a_posteriori(law)),
        log_density,
        lambda t, x: scipy.stats.norm.logpdf(x, t[0], np.sqrt(t[1])),
        lambda rng: np.array([rng.normal(1, 1), rng.gamma(3)]),
    )


def symmetric(t):
    return t[:2], np.array([[t[2], t[3]], [t[3], t[4]]])


def normal_inverse_wishart_pair(m=normal_inverse_wishart):
    def log_density(law, t):
        mean, covariance = symmetric(t)
        if np.linalg.eigvalsh(covariance)[0] <= 0:
            return -np.inf
        return scipy.stats.invwishart.logpdf(
            covariance, float(law[2]), law[3]
        ) + scipy.stats.multivariate_normal.logpdf(mean, law[0], covariance / law[1])

    def mode(law):
        mean, covariance = m.maximum_a_posteriori(law)
        return jnp.concatenate([mean, covariance[jnp.triu_indices(2)]])

    def parameters(rng):
        factor = rng.normal(size=(2, 2)) + 2 * np.eye(2)
        return np.concatenate([rng.normal(size=2), (factor @ factor.T)[np.triu_indices(2)]])

    scale = jnp.array([[2.0, 0.4], [0.4, 1.5]], jnp.float64)
    mean = jnp.array([0.5, -0.2], jnp.float64)
    return Pair(
        m.NormalInverseWishart(mean, jnp.float64(1.7), jnp.float64(3.3), scale),
        (RNG.normal(size=(9, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]]) + 1,),
        m.posterior,
        m.log_predictive,
        m.log_evidence,
        mode,
        log_density,
        lambda t, x: scipy.stats.multivariate_normal.logpdf(x, *symmetric(t)),
        parameters,
    )


def beta_pair(m=beta_binomial):
    trials = RNG.integers(1, 9, 9).astype(float)
    trials[:3] = 1
    return Pair(
        m.Beta(jnp.float64(2.5), jnp.float64(1.3)),
        (RNG.binomial(trials.astype(int), 0.4).astype(float), trials),
        m.posterior,
        m.log_predictive,
        m.log_evidence,
        m.maximum_a_posteriori,
        lambda law, p: scipy.stats.beta.logpdf(p, *law),
        lambda p, k, n: scipy.stats.binom.logpmf(k, n, p),
        lambda rng: rng.uniform(0.1, 0.9),
    )


def gamma_pair(m=gamma_poisson):
    return Pair(
        m.Gamma(jnp.float64(2.5), jnp.float64(0.7)),
        (RNG.poisson(6, 9).astype(float),),
        m.posterior,
        m.log_predictive,
        m.log_evidence,
        m.maximum_a_posteriori,
        lambda law, rate: scipy.stats.gamma.logpdf(rate, law[0], scale=1 / law[1]),
        lambda rate, y: scipy.stats.poisson.logpmf(y, rate),
        lambda rng: rng.gamma(4),
    )


def dirichlet_pair(m=dirichlet_categorical):
    def log_density(law, p):
        p = np.append(p, 1 - np.sum(p))
        return scipy.stats.dirichlet.logpdf(p, law[0]) if (p > 0).all() else -np.inf

    return Pair(
        m.Dirichlet(jnp.array([2.5, 1.3, 1.1], jnp.float64)),
        (RNG.choice(K, 9, p=[0.5, 0.3, 0.2]).astype(np.int32),),
        lambda law, x: m.posterior(law, counts(x)),
        m.log_predictive,
        lambda law, x: m.log_evidence(law, counts(x)),
        lambda law: m.maximum_a_posteriori(law)[:-1],
        log_density,
        lambda p, x: np.log(np.append(p, 1 - np.sum(p)))[x],
        lambda rng: rng.dirichlet(np.ones(K))[:-1],
    )


def pairs():
    with jax.enable_x64(True):
        return {
            "normal_known_variance": normal_pair(),
            "normal_inverse_gamma": normal_inverse_gamma_pair(),
            "normal_inverse_wishart": normal_inverse_wishart_pair(),
            "beta_binomial": beta_pair(),
            "gamma_poisson": gamma_pair(),
            "dirichlet_categorical": dirichlet_pair(),
        }


PAIRS = pairs()


def numpy(law):
    return [np.asarray(v) for v in law]


@pytest.fixture(params=PAIRS)
def pair(request, x64):
    """One pair of a prior and its likelihood, with JAX arrays of data."""
    found = PAIRS[request.param]
    return found._replace(data=tuple(jnp.asarray(v) for v in found.data))


def test_data_may_come_in_any_portions_and_order(pair):
    """The posterior of the first half, as a prior of the second, is that of all, and so on."""
    law, data = pair.law, pair.data
    n = len(data[0])
    every = pair.posterior(law, *data)

    def close(found):
        for ours, other in zip(found, every, strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-12, atol=1e-13)

    half = pair.posterior(law, *(v[:4] for v in data))
    close(pair.posterior(half, *(v[4:] for v in data)))
    for found, start in zip(pair.posterior(law, *(v[:0] for v in data)), law, strict=True):
        np.testing.assert_array_equal(found, start)
    close(pair.posterior(law, *(v[::-1] for v in data)))
    one = jax.jit(pair.posterior)
    for i in range(n):
        law = one(law, *(v[i : i + 1] for v in data))
    close(law)
    assert all(np.any(ours != start) for ours, start in zip(every, pair.law, strict=True))


def test_bayes_rule(pair):
    """log p(θ|X) + log p(X) = log p(X|θ) + log p(θ) at any θ, by SciPy's densities."""
    after = pair.posterior(pair.law, *pair.data)
    evidence = float(pair.log_evidence(pair.law, *pair.data))
    data = [np.asarray(v) for v in pair.data]
    rng = np.random.default_rng(1)
    for _ in range(20):
        theta = pair.parameters(rng)
        joint = np.sum(pair.log_likelihood(theta, *data))
        joint = joint + pair.log_density(numpy(pair.law), theta)
        posterior = pair.log_density(numpy(after), theta)
        assert abs(joint - evidence - posterior) < 1e-11 * (1 + abs(joint))


def test_the_evidence_is_the_product_of_predictives(pair):
    """log p(X) = Σ log p(x_i | x_1, …, x_(i−1)), in either order."""
    every = pair.log_evidence(pair.law, *pair.data)

    @jax.jit
    def chain(data):
        def step(law, one):
            value = pair.log_predictive(law, *one)
            return pair.posterior(law, *(v[None] for v in one)), value

        return jnp.sum(jax.lax.scan(step, pair.law, data)[1])

    np.testing.assert_allclose(chain(pair.data), every, rtol=1e-12)
    np.testing.assert_allclose(chain(tuple(v[::-1] for v in pair.data)), every, rtol=1e-12)
    assert pair.log_evidence(pair.law, *(v[:0] for v in pair.data)) == 0


def test_the_mode_is_the_greatest_density(pair):
    """Nothing around it is greater in SciPy's density, which has no slope there."""
    law = pair.posterior(pair.law, *pair.data)
    mode = np.atleast_1d(np.asarray(pair.mode(law)))

    def density(theta):
        return pair.log_density(numpy(law), theta if len(theta) > 1 else theta[0])

    best, rng = float(density(mode)), np.random.default_rng(2)
    assert np.isfinite(best)
    for step in np.geomspace(1e-3, 3, 300):
        assert density(mode + step * rng.normal(size=mode.shape) * np.abs(mode)) < best
    for axis in np.eye(len(mode)):
        slope = (density(mode + 1e-5 * axis) - density(mode - 1e-5 * axis)) / 2e-5
        assert abs(slope) < 1e-5


def test_it_differentiates_and_vectorizes_in_hyperparameters(pair):
    """Slopes of evidence, predictive and posterior along a direction against differences."""
    one = tuple(v[0] for v in pair.data)
    flat, unravel = ravel_pytree(pair.law)
    rng = np.random.default_rng(3)
    direction = rng.normal(size=flat.shape) * 0.1
    if len(flat) > 6:  # Ψ stays symmetric
        direction[-2] = direction[-3]
    direction = jnp.asarray(direction)

    def of(flat):
        law = unravel(flat)
        after = pair.posterior(law, *pair.data)
        return jnp.concatenate(
            [
                pair.log_evidence(law, *pair.data)[None],
                pair.log_predictive(after, *one)[None],
                ravel_pytree(after)[0],
                jnp.ravel(pair.mode(after)),
            ]
        )

    @jax.jit
    def everything(flat):
        moved = flat[None] + jnp.array([-1e-5, 0.0, 1e-5])[:, None] * direction[None]
        return of(flat), jax.vmap(of)(moved), jax.jacrev(of)(flat) @ direction

    value, lanes, slope = everything(flat)
    np.testing.assert_allclose(lanes[1], value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(slope, (lanes[2] - lanes[0]) / 2e-5, rtol=1e-6, atol=1e-8)
    assert (np.abs(slope[:2]) > 1e-6).all()
