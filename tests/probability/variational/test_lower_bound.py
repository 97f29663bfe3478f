# SPDX-License-Identifier: Apache-2.0
"""The bound is below the evidence, by the divergence to the posterior."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.probability import normal, variational
from jaxml.probability.conjugate import normal_known_variance
from jaxml.probability.variational import BERNOULLI, CATEGORICAL, MeanField

RNG = np.random.default_rng(1)
X = RNG.normal(2, 1, size=(6, 3))
LAW = normal_known_variance.Normal(np.zeros(3), np.array([0.5, 0.0, 1.0]))


def test_the_gap_is_the_divergence_to_a_conjugate_posterior(x64):
    """log p(X) − ELBO = KL(q‖posterior) for any q, 0 with no error where q is it."""
    x, noise = jnp.asarray(X), jnp.float64(0.2)
    law = normal_known_variance.Normal(*map(jnp.asarray, LAW))
    after = normal_known_variance.posterior(law, x, noise)
    evidence = jnp.sum(normal_known_variance.log_evidence(law, x, noise))

    def log_joint(mu):
        prior = jnp.sum(normal.log_prob(mu, *law))
        return prior + jnp.sum(normal.log_prob(x, mu[None], noise))

    run = jax.jit(lambda q, key: variational.elbo(log_joint, q, key, 4000))
    keys = jax.random.split(jax.random.key(0), 21)
    at = run(MeanField(*after), keys[0])
    np.testing.assert_allclose(at.mean, evidence, rtol=1e-12)
    assert at.standard_error < 1e-13
    for key in keys[1:]:
        q = MeanField(
            after.mean + RNG.normal(size=3) * 0.3, after.log_variance + RNG.normal(size=3) * 0.5
        )
        found = run(q, key)
        gap = np.sum(normal.kl_divergence(*q, *after))
        assert abs(found.mean - (evidence - gap)) < 4.5 * found.standard_error
        assert found.mean < evidence
        assert gap > 4.5 * found.standard_error


def test_draws_follow_their_families(x64):
    """Frequencies of bits and of classes, one excluded; moments of normal draws; Σ q = 1."""
    n = 40_000
    logits = jnp.asarray([0.3, -2.0, 4.0])
    bits = BERNOULLI.sample(logits, jax.random.key(1), n)
    p = np.asarray(jax.nn.sigmoid(logits))
    assert (np.abs(np.asarray(bits).mean(axis=0) - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()
    rows = jnp.asarray([[0.3, -2.0, 1.0, -jnp.inf], [0.0, 0.0, 3.0, -1.0]])
    classes = np.asarray(CATEGORICAL.sample(rows, jax.random.key(2), n))
    p = np.asarray(jax.nn.softmax(rows, axis=-1))
    shares = (classes[..., None] == np.arange(4)).mean(axis=0)
    assert (np.abs(shares - p) <= 4.5 * np.sqrt(p * (1 - p) / n)).all()
    every = jnp.stack(jnp.meshgrid(jnp.arange(4), jnp.arange(4)), axis=-1).reshape(-1, 2)
    log_q = jax.vmap(CATEGORICAL.log_prob, (None, 0))(rows, every)
    np.testing.assert_allclose(np.exp(log_q).sum(), 1, rtol=1e-12)
    slope = jax.grad(CATEGORICAL.log_prob)(rows, every[0])
    assert np.isfinite(slope).all()
    q = MeanField(jnp.array([1.0, -2.0]), jnp.array([0.5, -3.0]))
    z = np.asarray(variational.NORMAL.sample(q, jax.random.key(3), n))
    deviation = np.exp(0.5 * np.asarray(q.log_variance))
    assert (np.abs(z.mean(0) - q.mean) < 4.5 * deviation / np.sqrt(n)).all()
    assert (np.abs(z.std(0) / deviation - 1) < 4.5 / np.sqrt(2 * n)).all()
