# SPDX-License-Identifier: Apache-2.0
"""Errors of a predicted number: values, minimizers, and forms that are often misprinted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from mpmath import mp
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from jaxml.losses import penalty, regression

huber = jax.jit(regression.huber, static_argnames="delta")
quantile = jax.jit(regression.quantile, static_argnames="level")
squared_error, absolute_error = map(jax.jit, (regression.squared_error, regression.absolute_error))

PAIRS = np.random.default_rng(0).normal(size=(2, 300)) * [[3.0], [2.0]]


def both():
    return tuple(map(jnp.asarray, PAIRS))


def test_mean_errors_match_scikit_learn(x64):
    """The means over n examples of squared, absolute and quantile error."""
    prediction, y = both()
    squared, absolute = (
        squared_error(prediction, y),
        absolute_error(prediction, y),
    )
    assert squared.shape == absolute.shape == y.shape
    np.testing.assert_allclose(squared.mean(), mean_squared_error(y, prediction), rtol=1e-14)
    np.testing.assert_allclose(absolute.mean(), mean_absolute_error(y, prediction), rtol=1e-14)
    for level in (0.1, 0.5, 0.8):
        ours = quantile(prediction, y, level=level).mean()
        np.testing.assert_allclose(ours, mean_pinball_loss(y, prediction, alpha=level), rtol=1e-14)


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber_matches_scipy_and_has_a_clipped_slope(delta, x64):
    """Values as `scipy.special.huber`; slope clip(r, −δ, δ); curvature 1 inside, also at r = 0."""
    prediction, y = both()
    ours = huber(prediction, y, delta=delta)
    np.testing.assert_allclose(ours, scipy.special.huber(delta, PAIRS[0] - PAIRS[1]), rtol=1e-14)

    if delta == 1:
        np.testing.assert_array_equal(huber(prediction, y), ours)  # the default

    def at(r):
        return regression.huber(r, jnp.zeros(()), delta=delta)

    r = delta * np.array([-2, -1, -0.5, 0.0, 0.5, 1, 2])
    derivatives = jax.jit(jax.vmap(lambda r: (jax.grad(at)(r), jax.hessian(at)(r))))
    slope, curvature = map(np.asarray, derivatives(jnp.asarray(r)))
    np.testing.assert_allclose(slope, np.clip(r, -delta, delta), rtol=1e-15)
    np.testing.assert_array_equal(curvature[2:5], 1)
    np.testing.assert_array_equal(curvature[[0, 6]], 0)


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 3e-7), ("f8", 1e-15)])
def test_log_cosh_matches_60_digits_to_every_digit(dtype, tol, x64):
    """log cosh r and its slope tanh r, relative to themselves, from 1e-15 to 1e4."""
    half = np.geomspace(1e-15, 1e4, 200)
    r = np.concatenate([-half[::-1], half]).astype(dtype)
    with mp.workdps(60):
        value = np.array([float(mp.log(mp.cosh(mp.mpf(float(v))))) for v in r])
        slope = np.array([float(mp.tanh(mp.mpf(float(v)))) for v in r])
    r, zero = jnp.asarray(r), jnp.zeros(r.shape, dtype)
    ours = jax.jit(regression.log_cosh)(r, zero)
    np.testing.assert_allclose(ours, value, rtol=3 * tol)
    gradient = jax.jit(jax.grad(lambda r: jnp.sum(regression.log_cosh(r, zero))))(r)
    np.testing.assert_allclose(gradient, slope, rtol=3 * tol)


def test_log_cosh_curves_as_it_should(x64):
    """The second derivative is 1 − tanh² r: 1 at 0, where |r| alone would have none."""
    r = jnp.array([-20.0, -0.7, 0.0, 0.7, 20.0])
    second = jax.jit(jax.vmap(jax.hessian(lambda r: regression.log_cosh(r, jnp.zeros(())))))(r)
    np.testing.assert_allclose(second, 1 - np.tanh(r) ** 2, atol=1e-15)
    expected = np.log(np.cosh(PAIRS[0] - PAIRS[1]))
    np.testing.assert_allclose(jax.jit(regression.log_cosh)(*both()), expected, rtol=1e-10)


def minimizer(error, y):
    """The constant with the smallest total error."""
    total = jax.jit(lambda c: error(jnp.full(y.shape, c), jnp.asarray(y)).sum())
    return scipy.optimize.minimize_scalar(
        lambda c: float(total(c)), bracket=(y.min(), y.max()), tol=1e-12
    ).x


def test_the_mean_minimizes_squares_and_the_median_absolute_errors(x64):
    """And the τ-quantile the quantile error; the mean is far from the median for skewed data."""
    y = np.exp(1.5 * np.random.default_rng(1).normal(size=301))  # odd: one median
    assert y.mean() > 2 * np.median(y)
    np.testing.assert_allclose(minimizer(regression.squared_error, y), y.mean(), rtol=1e-6)
    np.testing.assert_allclose(minimizer(regression.absolute_error, y), np.median(y), rtol=1e-6)
    slope = jax.jit(jax.grad(lambda c, y: regression.squared_error(jnp.full(y.shape, c), y).sum()))
    np.testing.assert_allclose(slope(jnp.asarray(y.mean()), jnp.asarray(y)), 0, atol=1e-9)
    for level in (0.2, 0.9):
        at = minimizer(lambda c, y, level=level: regression.quantile(c, y, level=level), y)
        assert np.mean(y < at - 1e-6) <= level <= np.mean(y <= at + 1e-6)


def test_the_printed_mean_squared_error_has_a_term_too_many(x64):
    """Σ_{i=0}^{n} over n numbers the terms from 0: n + 1 of them, divided by n, are no mean."""
    errors = regression.squared_error(jnp.zeros(5), jnp.full(5, 3.0))  # i = 0, ..., n with n = 4
    printed = errors.sum() / 4
    assert errors.mean() == 9.0  # the mean of equal numbers is that number
    assert printed == 11.25


def test_the_absolute_error_is_not_a_squared_one():
    """Printed under the name of the squared error: but it scales with the unit, not its square."""
    y, prediction = jnp.array([1.0, 4.0]), jnp.array([3.0, 1.0])
    for error, power in ((regression.absolute_error, 1), (regression.squared_error, 2)):
        np.testing.assert_allclose(
            error(10 * prediction, 10 * y), 10.0**power * error(prediction, y)
        )


def test_noise_on_the_inputs_is_ridge_regression_and_changes_the_gram_matrix(x64):
    """E[(X + E)ᵀ(X + E)] = XᵀX + nσ²I, enumerated over E = ±σ; it is not XᵀX."""
    sigma, n, d = 0.3, 4, 2
    x = np.random.default_rng(2).normal(size=(n, 1)) @ np.ones((1, d))  # of rank 1
    signs = np.array(np.meshgrid(*[[-1, 1]] * (n * d))).reshape(n * d, -1).T.reshape(-1, n, d)
    noisy = x + sigma * signs
    gram = np.mean(np.swapaxes(noisy, 1, 2) @ noisy, axis=0)
    np.testing.assert_allclose(gram, x.T @ x + n * sigma**2 * np.eye(d), atol=1e-13)
    assert np.linalg.matrix_rank(x.T @ x) == 1
    assert np.linalg.matrix_rank(gram) == 2

    w, y = jnp.array([0.7, -1.1]), jnp.asarray(x[:, 0] + 1)
    total = jax.jit(jax.vmap(lambda x: regression.squared_error(x @ w, y).sum()))
    mean = np.mean(total(jnp.asarray(noisy)))
    ridge = total(jnp.asarray(x)[None])[0] + 2 * n * sigma**2 * penalty.l2(w)
    np.testing.assert_allclose(mean, ridge, rtol=1e-13)


def least_squares(features, y):
    """The smallest total squared error of a linear map of the features."""
    w = np.linalg.lstsq(features, y)[0]
    return np.sum(squared_error(jnp.asarray(features @ w), jnp.asarray(y)))


def test_an_affine_map_is_linear_in_x_and_1(x64):
    """Wx + b = (W b)(x; 1), and a second linear layer on the first can fit nothing more."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    w, b = rng.normal(size=(3, 4)), rng.normal(size=4)
    extended = np.hstack([x, np.ones((20, 1))])
    np.testing.assert_allclose(x @ w + b, extended @ np.vstack([w, b]), rtol=1e-12)
    hidden = np.hstack([x @ w + b, np.ones((20, 1))])
    np.testing.assert_allclose(least_squares(hidden, y), least_squares(extended, y), rtol=1e-12)


def test_options_out_of_range_are_refused():
    one = jnp.ones(1)
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="delta: expected a positive number"):
            regression.huber(one, one, delta=bad)
    for bad in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="level: expected a number between 0 and 1"):
            regression.quantile(one, one, level=bad)
