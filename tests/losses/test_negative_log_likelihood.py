# SPDX-License-Identifier: Apache-2.0
"""Likelihoods as losses against SciPy, and what is often misprinted about them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxml.losses import negative_log_likelihood as nll

RNG = np.random.default_rng(0)
A, B, X = RNG.normal(size=(3, 200))
COUNTS = RNG.poisson(4.0, size=200)


def test_values_match_scipy(x64):
    """−log p for every family, each with its constants."""
    a, b, x, y = map(jnp.asarray, (A, B, X, COUNTS))
    stats = scipy.stats

    @jax.jit
    def every(a, b, x, y):
        return (
            nll.normal(a, b, x),
            nll.normal_with_variance(a, x, variance=0.3),
            nll.normal_with_variance(a, x),
            nll.laplace(a, b, x),
            nll.laplace_with_scale(a, x, scale=0.3),
            nll.laplace_with_scale(a, x),
            nll.poisson(a, y),
            nll.poisson_of_rate(jnp.exp(a), y),
            nll.negative_binomial(a, b, y),
        )

    expected = [
        stats.norm.logpdf(X, A, np.exp(B / 2)),
        stats.norm.logpdf(X, A, 0.3**0.5),
        stats.norm.logpdf(X, A, 1),
        stats.laplace.logpdf(X, A, np.exp(B)),
        stats.laplace.logpdf(X, A, 0.3),
        stats.laplace.logpdf(X, A),
        stats.poisson.logpmf(COUNTS, np.exp(A)),
        stats.poisson.logpmf(COUNTS, np.exp(A)),
        stats.nbinom.logpmf(COUNTS, np.exp(B), np.exp(B) / (np.exp(A) + np.exp(B))),
    ]
    for ours, log_p in zip(every(a, b, x, y), expected, strict=True):
        np.testing.assert_allclose(ours, -log_p, rtol=1e-11)


def test_the_learned_variance_is_least_at_the_squared_error(x64):
    """∂/∂ℓ = 0 at e^ℓ = (y − μ)² for the normal, at e^s = |y − m| for the Laplace distribution."""
    r = jnp.asarray(np.abs(X) + 0.1)
    zero = jnp.zeros(r.shape)
    for loss, best in ((nll.normal, 2 * jnp.log(r)), (nll.laplace, jnp.log(r))):
        slope = jax.jit(jax.grad(lambda s, loss=loss: loss(zero, s, r).sum()))
        np.testing.assert_allclose(slope(best), 0, atol=1e-13)
        assert (slope(best + 0.1) > 0).all()
        assert (slope(best - 0.1) < 0).all()


def test_laplace_noise_costs_n_log_2_plus_the_absolute_errors_with_a_bounded_slope(x64):
    """The slope of |y − xᵀw| in w never exceeds |x|: no update grows near an error of 0."""
    x = jnp.asarray(RNG.normal(size=(200, 3)))
    w = jnp.array([0.5, -1.0, 2.0])
    y = x @ w + jnp.asarray(np.geomspace(1e-12, 1.0, 200))

    def loss(w, x, y):
        return nll.laplace_with_scale(x @ w, y)

    value_and_slope = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0, 0)))
    value, slope = map(np.asarray, value_and_slope(w, x, y))
    errors = np.abs(np.asarray(y) - np.asarray(x @ w))
    np.testing.assert_allclose(value.sum(), 200 * np.log(2) + errors.sum(), rtol=1e-14)
    norm = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(np.linalg.norm(slope, axis=1), norm, rtol=1e-12)
    assert jax.grad(loss)(w, x[0], x[0] @ w).tolist() == [0, 0, 0]


def test_poisson_regression_with_printed_forms_fails(x64):
    """λ − y log λ + log y! is least at λ = y; λ·y log λ and (log λ − log y)² are no likelihoods."""
    poisson_of_rate = jax.jit(nll.poisson_of_rate)
    y = jnp.arange(40.0)
    rate = jnp.full(y.shape, 2.5)
    p = np.exp(-np.asarray(poisson_of_rate(rate, y)))
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
    slope = jax.jit(jax.grad(lambda r: nll.poisson_of_rate(r, y[1:]).sum()))
    np.testing.assert_allclose(slope(y[1:]), 0, atol=1e-14)
    eta = jnp.log(y[1:])
    slope = jax.jit(jax.grad(lambda e: nll.poisson(e, y[1:]).sum()))
    np.testing.assert_allclose(slope(eta), 0, atol=1e-12)
    np.testing.assert_allclose(slope(eta + 1), y[1:] * (np.e - 1), rtol=1e-12)

    without_minus = jax.jit(jax.grad(lambda r: jnp.sum(r + y[1:] * jnp.log(r))))
    assert (without_minus(y[1:]) == 2).all()  # never 0: its least rate is 0, whatever the count

    with np.errstate(divide="ignore"):
        squared = np.square(np.log(2.5) - np.log(np.asarray(y)))
    assert not np.isfinite(squared[0])  # a count of 0 is the commonest of all
    assert np.isfinite(poisson_of_rate(rate, y)[0])
    assert abs(np.exp(-squared).sum() - 1) > 0.5


def test_a_constant_rate_is_the_mean_of_the_counts(x64):
    """The rate that fits best is the mean; the squared difference of logarithms takes another."""
    y = jnp.asarray(COUNTS, float)
    slope = jax.jit(jax.grad(lambda eta: nll.poisson(jnp.full(y.shape, eta), y).sum()))
    np.testing.assert_allclose(slope(jnp.log(y.mean())), 0, atol=1e-11)
    positive = y[y > 0]
    geometric = jnp.exp(jnp.mean(jnp.log(positive)))  # what (log λ − log y)² settles at
    assert geometric < 0.95 * positive.mean()


def test_taper_is_the_identity_inside_and_smooth_at_its_knee(x64):
    """x up to 40; beyond, e^taper is the second-order Taylor polynomial of e^x about 40."""
    inside = jnp.linspace(-40, 40, 33)
    taper = jax.jit(nll.taper)
    np.testing.assert_array_equal(taper(inside), inside)
    d = np.array([0.5, 3.0, 1e4])
    for sign in (1, -1):
        beyond = taper(jnp.asarray(sign * (40 + d)))
        np.testing.assert_allclose(beyond, sign * (40 + np.log(1 + d + d**2 / 2)), rtol=1e-15)
    first, second = (jax.jit(jax.vmap(d(nll.taper))) for d in (jax.grad, jax.hessian))
    around = jnp.array([-40 - 1e-4, -40 + 1e-4, 40 - 1e-4, 40 + 1e-4])
    np.testing.assert_allclose(first(around), 1, atol=1e-7)
    np.testing.assert_allclose(second(around), 0, atol=2e-4)
    slopes = first(jnp.array([-1e4, -41.0, -40.0, 40.0, 41.0, 1e4]))
    assert (slopes > 0).all()  # a way back from everywhere
    for special in (jnp.inf, -jnp.inf, jnp.nan):
        np.testing.assert_array_equal(taper(jnp.float32(special)), special)


def test_a_variance_and_a_scale_must_be_positive():
    one = jnp.ones(1)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="variance: expected a positive number"):
            nll.normal_with_variance(one, one, variance=bad)
        with pytest.raises(ValueError, match="scale: expected a positive number"):
            nll.laplace_with_scale(one, one, scale=bad)
