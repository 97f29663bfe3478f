# SPDX-License-Identifier: Apache-2.0
"""A mixture as a model, and expectation maximization as a rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import mixture
from jaxml.probability import gaussian_mixture as gaussians
from jaxml.training import ensemble


def cluster(n=200):
    rng = np.random.default_rng(0)
    return jnp.asarray(
        rng.normal(size=(n, 2)) * [1, 0.3] + 3 * rng.integers(0, 2, n)[:, None], "f4"
    )


def test_restarts_are_an_ensemble():
    """Eight starts under one rule; each ends where it ends alone."""
    x, rule, n = cluster(), mixture.em(), 8
    keys = jax.random.split(jax.random.key(0), n)
    begin = jax.jit(jax.vmap(lambda key: mixture.begun(x, key, 2)))
    run = ensemble(rule, n)

    @jax.jit
    def learn(model, key):
        state = run.init(model, key)

        def step(carry, i):
            model, state = carry
            model, state, metrics = run.update(model, state, x, jax.random.fold_in(key, i))
            return (model, state), metrics

        return jax.lax.scan(step, (model, state), jnp.arange(30))

    (model, _), metrics = learn(begin(keys), jax.random.key(1))
    values = metrics["log_prob"]
    assert np.diff(np.asarray(values).reshape(30, -1), axis=0).min() > -1e-5
    log_prob = jax.vmap(lambda model: mixture.log_prob(model, x).mean())(model)
    assert np.isfinite(log_prob).all()
    assert np.ptp(log_prob) < 1e-3  # two clusters leave no choice
    single = jax.tree.map(lambda a: a[3], begin(jax.random.clone(keys)))
    for _ in range(30):
        single, _, _ = rule.update(single, (), x, jax.random.key(2))
    np.testing.assert_allclose(mixture.log_prob(single, x).mean(), log_prob[3], rtol=1e-4)


def test_old_faithful():
    """The best of 20 starts of two full components: log p of the data is −1130.26 nats (mclust)."""
    from jaxml.data import DataError, load

    try:
        x = jnp.asarray(load("old_faithful")[0]["x"], jnp.float32)
    except DataError:
        pytest.skip("no data directory")
    standard = (x - x.mean(0)[None]) / x.std(0)[None]
    keys, rule = jax.random.split(jax.random.key(0), 20), mixture.em()

    @jax.jit
    @jax.vmap
    def fitted(key):
        model = mixture.begun(standard, key, 2)
        step = lambda model, _: (rule.update(model, (), standard, key)[0], None)  # noqa: E731
        model = jax.lax.scan(step, model, length=100)[0]
        return mixture.log_prob(model, standard).sum(), mixture.bic(model, standard)

    total, bic = fitted(keys)
    best = total.max() - len(x) * jnp.log(x.std(0)).sum()
    np.testing.assert_allclose(best, -1130.26, atol=0.02)
    np.testing.assert_allclose(bic.min(), -2 * total.max() + 11 * np.log(272), rtol=1e-6)


def test_the_model_is_its_parameters():
    x = cluster()
    model = mixture.begun(x, jax.random.key(0), 2, kind=gaussians.TIED)
    np.testing.assert_array_equal(
        mixture.log_prob(model, x), gaussians.log_prob(model.parameters, x, gaussians.TIED)
    )
    np.testing.assert_allclose(mixture.responsibilities(model, x).sum(1), 1, rtol=1e-5)
    assert mixture.sample(model, jax.random.key(1), 7).shape == (7, 2)
    with pytest.raises(ValueError, match="floor: expected a positive variance, got 0"):
        mixture.em(floor=0.0)
