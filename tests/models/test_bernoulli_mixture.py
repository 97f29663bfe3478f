# SPDX-License-Identifier: Apache-2.0
"""Clusters of bits under the contract: found again, and the rule equal to its steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models import bernoulli_mixture
from jaxml.probability import bernoulli_mixture as bits
from jaxml.training import ensemble


def data(n=2000):
    """Two clusters of ten bits, of weights 0.3 and 0.7."""
    theta = np.stack([np.linspace(0.05, 0.9, 10), np.linspace(0.95, 0.1, 10)])
    rng = np.random.default_rng(0)
    which = (rng.random(n) < 0.7).astype(int)
    return theta, jnp.asarray(rng.random((n, 10)) < theta[which])


def test_clusters_are_found_again():
    """The best of four starts side by side: weights and θ within 4.5 standard errors, BIC least."""
    theta, x = data()
    rule, keys = bernoulli_mixture.em(), jax.random.split(jax.random.key(0), 4)

    def fitted(k, keys=keys):
        begin = jax.vmap(lambda key: bernoulli_mixture.begun(x, key, k))(jax.random.clone(keys))
        many = ensemble(rule, 4)

        def step(models, _):
            models, _, metrics = many.update(models, (), x, jax.random.key(0))
            return models, metrics["log_prob"]

        models, _ = jax.lax.scan(step, begin, length=60)
        values = jax.vmap(lambda model: bernoulli_mixture.log_prob(model, x).mean())(models)
        best = jax.tree.map(lambda leaf: leaf[jnp.argmax(values)], models)
        return best, bernoulli_mixture.bic(best, x)

    run = jax.jit(fitted, static_argnums=0)
    model, bic = run(2)
    weight = np.exp(model.log_weight[...])
    order = np.argsort(weight)
    assert abs(weight[order[0]] - 0.3) < 4.5 * np.sqrt(0.21 / 2000)
    found = np.asarray(bernoulli_mixture.mean(model))[order]
    error = np.sqrt(theta * (1 - theta) / (2000 * np.array([0.3, 0.7]))[:, None])
    assert (np.abs(found - theta) < 4.5 * error + 0.01).all()
    assert bic < run(1)[1]
    assert bic < run(3)[1]
    n_free = 1 + 2 * 10
    expected = -2 * bernoulli_mixture.log_prob(model, x).sum() + n_free * np.log(2000)
    np.testing.assert_allclose(bic, expected, rtol=1e-6)


def test_the_rule_is_a_step():
    _, x = data(100)
    model = bernoulli_mixture.begun(x, jax.random.key(0), 3)
    rule = bernoulli_mixture.em(pseudocount=0.1)
    after, state, metrics = rule.update(model, rule.init(model, jax.random.key(1)), x,
                                        jax.random.key(2))  # fmt: skip
    step, value = bits.em_step(model.parameters, x, pseudocount=0.1)
    jax.tree.map(np.testing.assert_array_equal, after.parameters, step)
    assert state == ()
    assert metrics["log_prob"] == value
    np.testing.assert_allclose(metrics["least_weight"], np.exp(step.log_weight.min()))
    shares = bernoulli_mixture.responsibilities(after, x)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert bernoulli_mixture.sample(after, jax.random.key(3), 7).shape == (7, 10)
    with pytest.raises(ValueError, match="pseudocount"):
        bernoulli_mixture.em(pseudocount=0.0)
