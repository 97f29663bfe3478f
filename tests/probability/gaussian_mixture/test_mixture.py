# SPDX-License-Identifier: Apache-2.0
"""Expectation maximization: it climbs, and it ends where others end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import gaussian_mixture as gaussians
from tests.probability.gaussian_mixture.test_covariance import KINDS


def data(n=300, d=3):
    """Three clusters and a few points that are all alike."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)) + 4 * rng.integers(0, 3, n)[:, None]
    x[:20] = x[0]
    return jnp.asarray(x)


def climb(x, kind, k, n_steps, floor, key):
    start = gaussians.start(x, key, k, kind, floor=floor)

    def step(mixture, _):
        return gaussians.em_step(mixture, x, kind, floor=floor)

    return jax.lax.scan(step, start, length=n_steps)


@pytest.mark.parametrize("name", KINDS)
def test_the_likelihood_never_falls(name, x64):
    """From all of 100 starts, with a floor that some directions reach, 60 steps each."""
    x, keys = data(), jax.random.split(jax.random.key(0), 100)
    run = jax.jit(jax.vmap(lambda key: climb(x, KINDS[name], 5, 60, 0.05, key)))
    mixture, values = run(keys)
    assert np.isfinite(values).all()
    assert np.diff(values, axis=1).min() > -1e-10
    assert np.ptp(values[:, -1]) > 1e-4  # the starts are not all one
    assert np.median(values[:, -1] - values[:, 0]) > 0.01
    np.testing.assert_allclose(np.exp(mixture.log_weight).sum(1), 1, rtol=1e-12)


def test_one_component_is_the_gaussian_of_the_data(x64):
    """One step reaches mean and covariance, divided by n."""
    x = data()
    found, _ = climb(x, gaussians.FULL, 1, 1, 1e-6, jax.random.key(0))
    np.testing.assert_allclose(found.mean[0], x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance[0], np.cov(x.T, ddof=0), rtol=1e-12)
    assert found.log_weight[0] == 0


@pytest.mark.parametrize(("name", "theirs"), [(n, n[:4]) for n in ("diagonal", "spherical")])
def test_steps_are_those_of_scikit_learn(name, theirs, x64):
    """From one place, ten steps of both with no floor that matters, to 1e-9."""
    mixture = pytest.importorskip("sklearn.mixture")
    x, kind = data()[20:], KINDS[name]
    start = gaussians.start(x, jax.random.key(0), 3, kind, floor=1e-9)
    peer = mixture.GaussianMixture(
        3,
        covariance_type=theirs if theirs == "diag" else name,
        max_iter=10,
        tol=0,
        reg_covar=0,
        weights_init=np.exp(start.log_weight),
        means_init=np.asarray(start.mean),
        precisions_init=1 / np.asarray(start.covariance),
    )
    with pytest.warns(match="did not converge"):
        peer.fit(np.asarray(x))
    step = lambda m, _: gaussians.em_step(m, x, kind, floor=1e-9)  # noqa: E731
    found, _ = jax.lax.scan(step, start, length=10)
    np.testing.assert_allclose(np.exp(found.log_weight), peer.weights_, rtol=1e-8)
    np.testing.assert_allclose(found.mean, peer.means_, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, peer.covariances_, rtol=1e-8)
    expected = peer.score_samples(np.asarray(x))
    np.testing.assert_allclose(gaussians.log_prob(found, x, kind), expected, rtol=1e-9)
    shares = gaussians.responsibilities(found, x, kind)
    np.testing.assert_allclose(shares, peer.predict_proba(np.asarray(x)), atol=1e-9)


def test_a_component_without_a_share_stays_where_it_is():
    """Its weight is 0, nothing is NaN, and the others go on."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(50, 2)), jnp.float32)
    far = gaussians.Mixture(
        jnp.log(jnp.asarray([0.5, 0.5])),
        jnp.asarray([[0.0, 0.0], [1e4, 1e4]]),
        jnp.broadcast_to(jnp.eye(2), (2, 2, 2)),
    )
    found, value = gaussians.em_step(far, x, gaussians.FULL, floor=1e-6)
    assert np.isfinite(value)
    np.testing.assert_array_equal(found.mean[1], [1e4, 1e4])
    assert found.log_weight[1] == -jnp.inf
    again, value = gaussians.em_step(found, x, gaussians.FULL, floor=1e-6)
    assert np.isfinite(value)
    np.testing.assert_allclose(again.mean[0], x.mean(0), atol=1e-5)


def test_draws_have_the_moments_of_the_mixture():
    """20,000 draws: the share, mean and covariance of each component within 4.5 standard errors."""
    n = 20_000
    covariance = jnp.asarray([[[1.0, 0.5], [0.5, 2.0]], [[0.3, 0.0], [0.0, 0.1]]])
    mixture = gaussians.Mixture(
        jnp.log(jnp.asarray([0.3, 0.7])), jnp.asarray([[-20.0, 0.0], [20.0, 5.0]]), covariance
    )
    draw = jax.jit(lambda key: gaussians.sample(mixture, key, n, gaussians.FULL))
    x = np.asarray(draw(jax.random.key(0)))
    left = x[:, 0] < 0
    assert abs(left.mean() - 0.3) < 4.5 * np.sqrt(0.21 / n)
    for which, k in ((left, 0), (~left, 1)):
        mine, truth = x[which], np.asarray(covariance[k])
        spread = np.diag(truth)
        assert (np.abs(mine.mean(0) - mixture.mean[k]) < 4.5 * np.sqrt(spread / len(mine))).all()
        error = np.sqrt((truth**2 + np.outer(spread, spread)) / len(mine))
        assert (np.abs(np.cov(mine.T) - truth) < 4.5 * error).all()
