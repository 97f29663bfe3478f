# SPDX-License-Identifier: Apache-2.0
"""Mixtures of bits against enumeration, and what each step of expectation maximization gains."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxml.probability import bernoulli_mixture as bits

EVERY = np.array(list(itertools.product([0, 1], repeat=4)))


def random_mixture(seed, k=3, d=4, scale=1.5):
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(k))
    return bits.Mixture(jnp.asarray(np.log(weight)), jnp.asarray(scale * rng.normal(size=(k, d))))


def tables(mixture):
    """w_k p(x | k) of every x, by products."""
    log_weight, logits = (np.asarray(a, np.float64) for a in mixture)
    w, theta = np.exp(log_weight), scipy.special.expit(logits)
    p = np.where(EVERY[:, None] == 1, theta[None], 1 - theta[None]).prod(2)
    return p * w[None]


def test_densities_and_responsibilities_are_bayes_rule(x64):
    mixture = random_mixture(0)
    joint = tables(mixture)
    for x in (EVERY, EVERY.astype(bool), EVERY.astype(np.float64)):
        x = jnp.asarray(x)
        np.testing.assert_allclose(bits.log_prob(mixture, x), np.log(joint.sum(1)), rtol=1e-13)
        shares = joint / joint.sum(1, keepdims=True)
        np.testing.assert_allclose(bits.responsibilities(mixture, x), shares, rtol=1e-12)
    np.testing.assert_allclose(np.exp(bits.log_prob(mixture, jnp.asarray(EVERY))).sum(), 1)


def test_a_step_has_the_counts_of_the_shares(x64):
    """Weights and θ from shares by Bayes' rule; log p before the step."""
    mixture, alpha = random_mixture(1), 0.3
    x = EVERY[[0, 3, 3, 7, 9, 12, 15]]
    after, value = bits.em_step(mixture, jnp.asarray(x), pseudocount=alpha)
    joint = tables(mixture)[[0, 3, 3, 7, 9, 12, 15]]
    shares = joint / joint.sum(1, keepdims=True)
    theta = (shares.T @ x + alpha) / (shares.sum(0)[:, None] + 2 * alpha)
    np.testing.assert_allclose(value, np.log(joint.sum(1)).mean(), rtol=1e-13)
    np.testing.assert_allclose(np.exp(after.log_weight), shares.mean(0), rtol=1e-12)
    np.testing.assert_allclose(jax.nn.sigmoid(after.logits), theta, rtol=1e-12)


def test_the_posterior_never_falls(x64):
    """n · mean log p + α Σ log θ(1 − θ) over 40 steps from 100 starts."""
    rng, alpha = np.random.default_rng(0), 0.05
    x = rng.random((50, 8)) < rng.random((2, 8))[rng.integers(0, 2, 50)]
    x = jnp.asarray(x.astype(np.float64))

    def run(key):
        def step(mixture, _):
            a = mixture.logits
            prior = alpha * (jax.nn.log_sigmoid(a) + jax.nn.log_sigmoid(-a)).sum()
            mixture, value = bits.em_step(mixture, x, pseudocount=alpha)
            return mixture, len(x) * value + prior

        return jax.lax.scan(step, bits.start(x, key, 3, pseudocount=alpha), length=40)

    mixture, values = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 100))
    values = np.asarray(values)
    assert np.diff(values, axis=1).min() > -1e-9
    assert (values[:, -1] > values[:, 0] + 1).all()
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in mixture)


def test_draws_have_the_law():
    """Chi squared of all 16 patterns."""
    mixture = jax.tree.map(lambda a: a.astype(jnp.float32), random_mixture(2))
    x = np.asarray(jax.jit(bits.sample, static_argnums=2)(mixture, jax.random.key(0), 20_000))
    counts = np.bincount(x @ (1 << np.arange(4)[::-1]), minlength=16)
    p = tables(mixture).sum(1)
    assert scipy.stats.chisquare(counts, 20_000 * p / p.sum()).pvalue > 1e-3


def test_equal_columns_keep_finite_slopes_and_logits():
    """Bits that are always on: θ = (α + n)/(2α + n), and log p and its slopes stay finite."""
    x = jnp.ones((10, 3), jnp.int32)
    mixture = bits.start(x, jax.random.key(0), 2, pseudocount=0.5)
    after, _ = bits.em_step(mixture, x, pseudocount=0.5)
    np.testing.assert_allclose(jax.nn.sigmoid(after.logits), 5.5 / 6, rtol=1e-5)
    slopes = jax.grad(lambda m: bits.log_prob(m, x).sum())(after)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in slopes)


def test_what_is_refused():
    x = jnp.ones((3, 2))
    for k in (0, 4):
        with pytest.raises(ValueError, match="k: expected 1 to 3"):
            bits.start(x, jax.random.key(0), k, pseudocount=0.1)
    for call in (
        lambda: bits.start(x, jax.random.key(0), 1, pseudocount=0.0),
        lambda: bits.maximized(x, jnp.ones((3, 1)), pseudocount=-1.0),
    ):
        with pytest.raises(ValueError, match="pseudocount: expected a positive"):
            call()
