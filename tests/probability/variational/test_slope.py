# SPDX-License-Identifier: Apache-2.0
"""Slopes of the bound where they are known, by closed form or by enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.optimizers import adam
from jaxml.probability import normal, variational
from jaxml.probability.variational import BERNOULLI, CATEGORICAL, NORMAL, MeanField

RNG = np.random.default_rng(0)
D = 3
ROOT = RNG.normal(size=(D, D))
PRECISION = ROOT @ ROOT.T + np.eye(D)
B = RNG.normal(size=D)
CONSTANT = -7.0


def quadratic(z):
    """log p(x, z) of a normal posterior with mean Λ⁻¹b and covariance Λ⁻¹."""
    precision, b = jnp.asarray(PRECISION, z.dtype), jnp.asarray(B, z.dtype)
    return -0.5 * z @ precision @ z + b @ z + CONSTANT


def exact(q):
    """The bound −½ mᵀΛm − ½ Σ Λ_ii v_i + bᵀm + c + H, its slopes b − Λm and ½ − ½Λ_ii v_i."""
    m, log_v = (np.asarray(v) for v in q)
    diagonal = np.diag(PRECISION) * np.exp(log_v)
    entropy = 0.5 * np.sum(np.log(2 * np.pi) + 1 + log_v)
    value = -0.5 * m @ PRECISION @ m - 0.5 * diagonal.sum() + B @ m + CONSTANT + entropy
    return value, (B - PRECISION @ m, 0.5 - 0.5 * diagonal)


ESTIMATORS = {
    "reparameterized": lambda q, key, n: variational.reparameterized(quadratic, q, key, n),
    "sticking": lambda q, key, n: variational.reparameterized(quadratic, q, key, n, stick=True),
    "score": lambda q, key, n: variational.score_function(quadratic, q, key, n),
    "score alone": lambda q, key, n: variational.score_function(
        quadratic, q, key, n, leave_one_out=False
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_estimator_is_biased_and_all_errors_cover(name, x64):
    """Within 4.5 standard errors of the closed form over 4000 runs of 8 draws, and 50 of 5000.

    Runs of few draws show a bias of order 1/n, which the leave-one-out mean is there to avoid.
    """
    q = MeanField(jnp.asarray(RNG.normal(size=D)), jnp.asarray(RNG.normal(size=D) * 0.5))
    value, slopes = exact(q)
    run = jax.jit(jax.vmap(ESTIMATORS[name], (None, 0, None)), static_argnums=2)
    few = run(q, jax.random.split(jax.random.key(1), 4000), 8)
    for found, expected in zip((few.bound.mean, *few.slope), (value, *slopes), strict=True):
        found = np.asarray(found)
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - expected) <= 4.5 * error + 1e-12).all()
    many = run(q, jax.random.split(jax.random.key(2), 50), 5000)
    for found, error in zip(many.slope, many.standard_error, strict=True):
        ratio = np.std(found, axis=0, ddof=1) / np.mean(error, axis=0)
        ratio = ratio[np.mean(error, axis=0) > 1e-12]  # ∂/∂ℓ may be the same for all draws
        assert (np.abs(ratio - 1) < 4.5 / np.sqrt(98)).all()


def test_where_q_is_the_posterior_nothing_is_left_to_chance(x64):
    """Every draw's bound is log p(x); sticking and leave-one-out slopes are 0, full ones not."""
    variance = 1 / np.diag(PRECISION)
    mean, log_evidence = B * variance, CONSTANT
    log_evidence += 0.5 * np.sum(B**2 * variance + np.log(2 * np.pi * variance))
    q = MeanField(jnp.asarray(mean), jnp.asarray(np.log(variance)))

    def independent(z):
        return jnp.sum(-0.5 * z**2 / variance + jnp.asarray(B) * z) + CONSTANT

    key = jax.random.key(0)
    found = variational.elbo(independent, q, key, 10)
    np.testing.assert_allclose(found.mean, log_evidence, rtol=1e-13)
    assert found.standard_error < 1e-14
    for slopes in (
        variational.reparameterized(independent, q, jax.random.clone(key), 10, stick=True),
        variational.score_function(independent, q, jax.random.clone(key), 10),
    ):
        for leaf in jax.tree.leaves((slopes.slope, slopes.standard_error)):
            assert np.abs(leaf).max() < 1e-13
    full = variational.reparameterized(independent, q, jax.random.clone(key), 10)
    assert (np.asarray(full.standard_error.mean) > 0.1).all()
    alone = variational.score_function(
        independent, q, jax.random.clone(key), 10, leave_one_out=False
    )
    assert (np.asarray(alone.standard_error.mean) > 0.1).all()


def test_what_the_baseline_is_worth(x64):
    """For log p = c + μz − ½z² and q = N(0, 1): variances (c'² + 2μ²)/n and 2μ²/(n − 1).

    f = c' + μz, c' = c + ½ log 2π; Σ (f − f̄)z/(n − 1) is μ times a sample variance. At c = 30 and
    μ = 0.5 the baseline is worth a factor of 1913 of draws. A constant more changes nothing.
    """
    q = MeanField(jnp.zeros(1), jnp.zeros(1))
    n, mu = 16, 0.5

    def variance(c, leave_one_out):
        def log_joint(z):
            return c + mu * z[0] - 0.5 * z[0] ** 2

        def one(key):
            return variational.score_function(
                log_joint, q, key, n, leave_one_out=leave_one_out
            ).slope.mean[0]

        return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), 8000)))

    known, alone = variance(30.0, True), variance(30.0, False)
    shift = 30 + 0.5 * np.log(2 * np.pi)
    assert abs(known.var() * (n - 1) / (2 * mu**2) - 1) < 0.1
    assert abs(alone.var() * n / (shift**2 + 2 * mu**2) - 1) < 0.1
    assert alone.var() / known.var() > 1500
    np.testing.assert_allclose(variance(1e4, True), known, atol=1e-9)


def test_a_control_takes_what_it_knows(x64):
    """log p = quadratic + ⅒ Σ sin 3z: with the quadratic less log q known, only the sine is drawn.

    E sin 3z = e^(−9v/2) sin 3m gives the exact slope; a control that is f itself leaves no error.
    """
    q = MeanField(jnp.asarray(RNG.normal(size=D)), jnp.asarray(RNG.normal(size=D) * 0.5))
    held = MeanField(*q)

    def log_joint(z):
        return quadratic(z) + 0.1 * jnp.sum(jnp.sin(3 * z))

    def value(z):
        return quadratic(z) - NORMAL.log_prob(held, z)

    def expectation(q):
        entropy = jnp.sum(normal.entropy(q.log_variance))
        spread = jnp.asarray(np.diag(PRECISION)) @ jnp.exp(q.log_variance)
        return quadratic(q.mean) - 0.5 * spread + entropy

    control = variational.Control(value, expectation)

    @jax.jit
    def run(key):
        one, two, three = jax.random.split(key, 3)
        plain = variational.score_function(log_joint, q, one, 4000)
        known = variational.score_function(log_joint, q, two, 4000, control=control)
        return plain, known, variational.score_function(quadratic, q, three, 4000, control=control)

    plain, known, all_known = run(jax.random.key(4))
    sine = jax.grad(lambda q: 0.1 * jnp.sum(jnp.exp(-4.5 * jnp.exp(q.log_variance))
                                            * jnp.sin(3 * q.mean)))(q)  # fmt: skip
    for i, slope in enumerate(exact(q)[1]):
        expected = slope + np.asarray(sine[i])
        for found in (plain, known):
            off = np.abs(np.asarray(found.slope[i]) - expected)
            assert (off < 4.5 * np.asarray(found.standard_error[i])).all()
        ratio = np.asarray(plain.standard_error[i]) / np.asarray(known.standard_error[i])
        assert (ratio > 5).all()
        np.testing.assert_allclose(all_known.slope[i], slope, rtol=1e-10, atol=1e-12)
        assert np.max(all_known.standard_error[i]) < 1e-12


def energies(n_states, d):
    """A number for every configuration of d variables."""
    return RNG.normal(size=(n_states,) * d) * 2


@pytest.mark.parametrize("family", ["bits", "classes"])
def test_discrete_slopes_over_all_draws(family, x64):
    """The mean over all pairs of draws with their probabilities is the slope of the exact bound.

    The family here hands out given draws, so that nothing is left to chance; the sum over pairs has
    no bias at n = 2, where a mean that included the draw itself would halve the slope.
    """
    d, k = (3, 2) if family == "bits" else (2, 3)
    table = jnp.asarray(energies(k, d))
    law = BERNOULLI if family == "bits" else CATEGORICAL
    q = jnp.asarray(RNG.normal(size=(d,) if family == "bits" else (d, k)))
    states = np.array(list(itertools.product(range(k), repeat=d)))
    z = jnp.asarray(states, bool if family == "bits" else jnp.int32)

    def log_joint(z):
        return table[tuple(z.astype(jnp.int32))]

    def bound(q):
        log_q = jax.vmap(law.log_prob, (None, 0))(q, z)
        return jnp.sum(jnp.exp(log_q) * (jax.vmap(log_joint)(z) - log_q))

    chance = np.exp(jax.vmap(law.log_prob, (None, 0))(q, z))
    assert chance.sum() == pytest.approx(1, rel=1e-12)
    pairs = jnp.asarray(list(itertools.product(range(len(states)), repeat=2)))
    weight = chance[pairs].prod(1)

    @jax.jit
    @jax.vmap
    def slopes(pair):
        given = variational.Family(lambda q, key, n: z[pair], law.log_prob)
        one = variational.score_function(log_joint, q, jax.random.key(0), 2, family=given)
        alone = variational.score_function(
            log_joint, q, jax.random.key(0), 2, family=given, leave_one_out=False
        )
        return one.slope, alone.slope, one.bound.mean

    value, slope = jax.value_and_grad(bound)(q)
    one, alone, bounds = slopes(pairs)
    np.testing.assert_allclose(np.tensordot(weight, one, 1), slope, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(np.tensordot(weight, alone, 1), slope, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(weight @ bounds, value, rtol=1e-12)
    log_z = np.log(np.exp(table).sum())
    assert value < log_z
    drawn = jax.jit(lambda key: variational.score_function(log_joint, q, key, 20_000, family=law))(
        jax.random.key(5)
    )
    off = np.abs(np.asarray(drawn.slope) - slope)
    assert (off < 4.5 * np.asarray(drawn.standard_error)).all()
    assert abs(drawn.bound.mean - value) < 4.5 * drawn.bound.standard_error


def test_a_correlated_posterior_is_found_too_narrow(x64):
    """Adam ends at mean Λ⁻¹b and variances 1/Λ_ii, below the true ones (Λ⁻¹)_ii, by either slope.

    KL(q‖p) is then ½ (Σ log Λ_ii − log|Λ|), which the bound misses of log p(x).
    """
    covariance = np.linalg.inv(PRECISION)
    mean, variance = covariance @ B, 1 / np.diag(PRECISION)
    log_det = np.linalg.slogdet(PRECISION)[1]
    log_evidence = CONSTANT + 0.5 * (B @ mean - log_det + D * np.log(2 * np.pi))
    gap = 0.5 * (np.log(np.diag(PRECISION)).sum() - log_det)
    rule = adam(lambda step: 0.1 * 0.996 ** step.astype(float))
    start = MeanField(jnp.zeros(D), jnp.zeros(D))

    def learned(slopes, key):
        def step(carry, key):
            q, state = carry
            down = jax.tree.map(jnp.negative, slopes(q, key).slope)
            change, state = rule.update(down, state, q)
            return (jax.tree.map(jnp.add, q, change), state), None

        keys = jax.random.split(key, 1500)
        return jax.lax.scan(step, (start, rule.init(start)), keys)[0][0]

    for name, n, tol in (("sticking", 8, 0.02), ("score", 64, 0.05)):

        def slopes(q, key, name=name, n=n):
            return ESTIMATORS[name](q, key, n)

        q = jax.jit(lambda key, slopes=slopes: learned(slopes, key))(jax.random.key(6))
        np.testing.assert_allclose(q.mean, mean, atol=tol)
        np.testing.assert_allclose(np.exp(q.log_variance), variance, rtol=tol)
        assert (np.exp(q.log_variance) < 0.95 * np.diag(covariance)).all()
        found = variational.elbo(quadratic, q, jax.random.key(7), 20_000)
        assert abs(log_evidence - gap - found.mean) < 4.5 * found.standard_error + tol**2 * D
        assert found.mean + 4.5 * found.standard_error < log_evidence


def test_one_draw_has_no_error():
    q = MeanField(jnp.zeros(2), jnp.zeros(2))
    for f in (variational.elbo, variational.reparameterized, variational.score_function):
        with pytest.raises(ValueError, match="n: "):
            f(lambda z: jnp.sum(z), q, jax.random.key(0), 1)
