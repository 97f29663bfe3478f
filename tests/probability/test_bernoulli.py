# SPDX-License-Identifier: Apache-2.0
"""The Bernoulli distribution from logits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp

from jaxml.probability import bernoulli

TOLERANCE = [("f4", 1e-6, 1e-5), ("f8", 1e-14, 1e-12)]  # of values and of gradients
LOGITS = np.concatenate([-np.geomspace(1e-6, 1e4, 200), np.geomspace(1e-6, 1e4, 200)])


log_prob = jax.jit(bernoulli.log_prob)
slope_of_sum = jax.jit(jax.grad(lambda a, x: jnp.sum(bernoulli.log_prob(x, a))))


def relative_error(value, reference):
    reference = np.array([float(r) for r in reference])
    return np.max(np.abs(np.asarray(value, np.float64) - reference) / (1 + np.abs(reference)))


@pytest.mark.parametrize(("dtype", "tol", "tol_gradient"), TOLERANCE)
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_log_prob_matches_60_digits(x, dtype, tol, tol_gradient, x64):
    """x log σ(a) + (1 − x) log σ(−a), and its gradient x − σ(a), for logits up to 1e4."""
    a = LOGITS.astype(dtype)
    with mp.workdps(60):
        exact = [mp.mpf(float(v)) for v in a]
        reference = [
            -x * mpmath.log1p(mp.exp(-v)) - (1 - x) * (mpmath.log1p(mp.exp(-v)) + v) for v in exact
        ]
        slope = [x - 1 / (1 + mp.exp(-v)) for v in exact]
    x = jnp.full(a.shape, x, dtype)
    assert relative_error(log_prob(x, jnp.asarray(a)), reference) <= tol
    assert relative_error(slope_of_sum(jnp.asarray(a), x), slope) <= tol_gradient


def test_derivatives_at_zero_logits_are_those_of_the_function(x64):
    """At a = 0, where |a| has a kink: slope x − ½, curvature −¼, and 0 for ∂/∂x."""
    zero, x = jnp.float64(0), jnp.float64(0.3)

    @jax.jit
    def derivatives(x, a):
        by_x, by_a = jax.grad(bernoulli.log_prob, argnums=(0, 1))(x, a)
        _, forward = jax.jvp(lambda a: bernoulli.log_prob(x, a), (a,), (jnp.ones_like(a),))
        return by_a, forward, jax.hessian(bernoulli.log_prob, argnums=1)(x, a), by_x

    slope, forward, curvature, _ = derivatives(x, zero)
    assert slope == forward == 0.3 - 0.5
    assert curvature == -0.25
    assert derivatives(x, jnp.float64(2.0))[-1] == 2.0


def test_probabilities_sum_to_one_and_entropy_is_their_own(x64):
    """P(0) + P(1) = 1 and H = −Σ P log P."""
    a = jnp.asarray(LOGITS)
    log_p = jnp.stack([bernoulli.log_prob(jnp.full_like(a, x), a) for x in (0.0, 1.0)])
    np.testing.assert_allclose(jnp.exp(log_p).sum(0), 1, rtol=1e-14)
    expected = -jnp.sum(jnp.where(log_p > -700, jnp.exp(log_p) * log_p, 0), axis=0)
    np.testing.assert_allclose(bernoulli.entropy(a), expected, atol=1e-14)


def test_sample_frequencies():
    """The mean of the draws is σ(a), within 4.5 standard errors."""
    a = jnp.linspace(-3, 3, 7)
    draws = bernoulli.sample(jnp.tile(a, (20_000, 1)), jax.random.key(0))
    p = np.asarray(jax.nn.sigmoid(a), np.float64)
    frequency = np.asarray(draws, np.float64).mean(0)
    assert (np.abs(frequency - p) < 4.5 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_nan_stays_nan():
    for args in [(jnp.nan, 1.0), (1.0, jnp.nan)]:
        assert np.isnan(bernoulli.log_prob(*map(jnp.float32, args)))
