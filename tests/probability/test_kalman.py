# SPDX-License-Identifier: Apache-2.0
"""The Kalman filter and smoother against conditioning of the joint normal."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxml.probability import kalman

T, K, D = 6, 3, 2


def model(*, singular=False):
    rng = np.random.default_rng(0)

    def covariance(n):
        a = rng.normal(size=(n, n + 1))
        return a @ a.T

    noise = covariance(K)
    if singular:  # one state follows the others without noise of its own
        noise[0] = noise[:, 0] = 0
    parts = (
        rng.normal(size=K),
        covariance(K),
        0.5 * rng.normal(size=(K, K)),
        noise,
        rng.normal(size=(D, K)),
        covariance(D),
    )
    return kalman.Model(*map(jnp.asarray, parts))


def joint(model):
    """Mean and covariance of all states and then all observations."""
    m, V, A, Q, C, R = map(np.asarray, model)
    means, blocks = [m], [V]
    for _ in range(T - 1):
        means.append(A @ means[-1])
        blocks.append(A @ blocks[-1] @ A.T + Q)
    states = np.zeros((T, K, T, K))
    for i in range(T):
        for j in range(i, T):
            states[j, :, i] = np.linalg.matrix_power(A, j - i) @ blocks[i]
            states[i, :, j] = states[j, :, i].T
    states = states.reshape(T * K, T * K)
    out = np.kron(np.eye(T), C)
    observed = out @ states @ out.T + np.kron(np.eye(T), R)
    mean = np.concatenate(means)
    return (
        np.concatenate([mean, out @ mean]),
        np.block([[states, states @ out.T], [out @ states, observed]]),
    )


def conditioned(model, x, shown):
    """Mean and covariance of all states given the numbers that are shown, and log p of those."""
    mean, covariance = joint(model)
    n, places = T * K, T * K + np.flatnonzero(shown.ravel())
    if not len(places):
        return mean[:n].reshape(T, K), covariance[:n, :n].reshape(T, K, T, K), 0.0
    gap = x.ravel()[shown.ravel()] - mean[places]
    inner = covariance[np.ix_(places, places)]
    gain = np.linalg.solve(inner, covariance[places, :n]).T
    after = covariance[:n, :n] - gain @ covariance[places, :n]
    log_prob = stats.multivariate_normal(mean[places], inner).logpdf(mean[places] + gap)
    return (mean[:n] + gain @ gap).reshape(T, K), after.reshape(T, K, T, K), log_prob


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("hidden", [0, 5])
def test_it_is_the_joint_normal_given_the_data(hidden, singular, x64):
    """Evidence, filter, smoother, neighbours, to 1e-9; with numbers missing too."""
    rng = np.random.default_rng(1)
    given, x = model(singular=singular), rng.normal(size=(T, D))
    shown = np.ones(T * D, bool)
    shown[rng.permutation(T * D)[:hidden]] = False
    shown = shown.reshape(T, D)
    seen = jnp.asarray(np.where(shown, x, np.nan))
    mask = jnp.asarray(shown) if hidden else None
    forth = jax.jit(kalman.filtered)(given, seen, mask=mask)
    both = jax.jit(kalman.smoothed)(given, seen, mask=mask)
    mean, covariance, log_prob = conditioned(given, x, shown)
    np.testing.assert_allclose(forth.log_evidence, log_prob, atol=1e-9)
    np.testing.assert_allclose(both.mean, mean, atol=1e-9)
    for t in range(T):
        np.testing.assert_allclose(both.covariance[t], covariance[t, :, t], atol=1e-9)
        before = shown & (np.arange(T)[:, None] <= t)
        so_far = conditioned(given, x, before)
        np.testing.assert_allclose(forth.mean[t], so_far[0][t], atol=1e-9)
        np.testing.assert_allclose(forth.covariance[t], so_far[1][t, :, t], atol=1e-9)
    for t in range(T - 1):
        np.testing.assert_allclose(both.cross[t], covariance[t, :, t + 1], atol=1e-9)


def test_slopes_pass_through_missing_numbers(x64):
    given, x = model(), jnp.full((T, D), jnp.nan).at[2].set(0.5)
    mask = jnp.isfinite(x)

    def evidence(given):
        return kalman.filtered(given, x, mask=mask).log_evidence

    for leaf in jax.tree.leaves(jax.grad(evidence)(given)):
        assert np.isfinite(leaf).all()


def test_draws_have_the_covariance_of_the_joint_normal():
    """20,000 sequences; every number of the covariance within 4.5 standard errors."""
    n = 20_000
    given = jax.tree.map(lambda a: a.astype("f4"), model(singular=True))
    z, x = jax.jit(jax.vmap(partial(kalman.sample, given, t=T)))(
        jax.random.split(jax.random.key(0), n)
    )
    drawn = np.concatenate([np.asarray(a).reshape(n, -1) for a in (z, x)], axis=1)
    mean, covariance = joint(given)
    spread = np.diag(covariance)
    error = np.sqrt((covariance**2 + np.outer(spread, spread)) / n)
    assert (np.abs(drawn.mean(0) - mean) < 4.5 * np.sqrt(spread / n)).all()
    assert (np.abs(np.cov(drawn.T) - covariance) < 4.5 * error).all()


def test_shapes_that_do_not_fit_are_refused():
    given = model()
    with pytest.raises(ValueError, match="x: expected rows of 2"):
        kalman.filtered(given, jnp.zeros((T, 3)))
    with pytest.raises(ValueError, match="mask"):
        kalman.filtered(given, jnp.zeros((T, 2)), mask=jnp.ones((1, 2), bool))
    with pytest.raises(ValueError, match="t: expected at least 1"):
        kalman.sample(given, jax.random.key(0), 0)
