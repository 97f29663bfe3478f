# SPDX-License-Identifier: Apache-2.0
"""The spline is the one of its knots."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxml.bijections import (
    Limit,
    Spline,
    circular_spline,
    interval_spline,
    interval_spline_inverse,
    rotate,
    spline,
    spline_inverse,
)

RNG, K, LIMIT = np.random.default_rng(0), 6, Limit(-2.0, 3.0, 1e-2, 1e-2)


def draw(n_slopes):
    return Spline(*(jnp.asarray(RNG.normal(size=n)) for n in (K, K, n_slopes)))


def knots(raw):
    share = 1e-2 + (1 - K * 1e-2) * scipy.special.softmax(np.asarray(raw))
    return np.concatenate([[-2], -2 + 5 * np.cumsum(share)[:-1], [3]])


def test_it_passes_through_its_knots_with_its_slopes(x64):
    """Bins are softmax shares, slopes are softplus, each above its least."""
    params = draw(K + 1)
    x, y = knots(params.widths), knots(params.heights)
    found, log_slope = interval_spline(jnp.asarray(x), params, LIMIT)
    np.testing.assert_allclose(found, y, rtol=1e-12, atol=1e-13)
    raw = np.asarray(params.slopes) + np.log(np.expm1(0.99))
    np.testing.assert_allclose(log_slope, np.log(1e-2 + np.log1p(np.exp(raw))), rtol=1e-10)


def test_between_knots_it_is_the_rational_quadratic(x64):
    """Equation 4 of the paper at one place of every bin."""
    params = draw(K - 1)
    x, y = knots(params.widths), knots(params.heights)
    raw = np.concatenate([[0], params.slopes, [0]]) + np.log(np.expm1(0.99))
    delta = 1e-2 + np.log1p(np.exp(raw))
    xi = RNG.random(K)
    w, h = np.diff(x), np.diff(y)
    s = h / w
    top = h * (s * xi**2 + delta[:-1] * xi * (1 - xi))
    expected = y[:-1] + top / (s + (delta[1:] + delta[:-1] - 2 * s) * xi * (1 - xi))
    found, _ = spline(jnp.asarray(x[:-1] + xi * w), params, LIMIT)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_raw_numbers_of_zero_are_the_identity(x64):
    x = jnp.linspace(-4, 4, 101)
    zeros = Spline(jnp.zeros(K), jnp.zeros(K), jnp.zeros(K - 1))
    for function in (spline, spline_inverse):
        y, log_slope = function(x, zeros)
        np.testing.assert_allclose(y, x, atol=1e-14)
        np.testing.assert_allclose(log_slope, 0, atol=1e-14)


def test_the_tails_continue_it_smoothly(x64):
    """Value and slope at both ends from both sides."""
    params = draw(K - 1)
    for edge in (LIMIT.low, LIMIT.high):
        near = jnp.asarray([edge - 1e-9, edge + 1e-9])
        y, log_slope = spline(near, params, LIMIT)
        np.testing.assert_allclose(y, near, atol=1e-8)
        np.testing.assert_allclose(log_slope, 0, atol=1e-6)


def test_a_circle_has_no_seam(x64):
    """Slope and value agree where it closes; x + 2π is x; a rotation moves the seam."""
    params = draw(K)
    near = jnp.asarray([-math.pi + 1e-9, math.pi - 1e-9])
    y, log_slope = circular_spline(near, params)
    np.testing.assert_allclose(np.exp(1j * np.asarray(y)), -1, atol=1e-7)
    np.testing.assert_allclose(log_slope[0], log_slope[1], atol=1e-6)
    x = jnp.linspace(-3, 3, 7)
    np.testing.assert_allclose(
        circular_spline(x + 2 * math.pi, params)[0], circular_spline(x, params)[0], atol=1e-12
    )
    turned, log_slope = rotate(x, jnp.asarray(3.0))
    np.testing.assert_allclose(
        np.exp(1j * np.asarray(turned)), np.exp(1j * (np.asarray(x) + 3)), atol=1e-12
    )
    assert np.abs(turned).max() <= math.pi
    np.testing.assert_array_equal(log_slope, 0)


def test_parameters_serve_a_batch(x64):
    """One spline for every column of a batch, or one an element."""
    x = jnp.asarray(RNG.normal(size=(5, 3)))
    columns = Spline(*(jnp.asarray(RNG.normal(size=(3, n))) for n in (K, K, K - 1)))
    each = jax.tree.map(lambda p: jnp.broadcast_to(p, (5, *p.shape)), columns)
    for one, other in zip(spline(x, columns), spline(x, each), strict=True):
        np.testing.assert_array_equal(one, other)


def test_shapes_that_do_not_fit_are_refused():
    x = jnp.zeros(3)
    with pytest.raises(ValueError, match="5 slopes"):
        spline(x, Spline(jnp.zeros(K), jnp.zeros(K), jnp.zeros(K)))
    with pytest.raises(ValueError, match="as many heights"):
        spline(x, Spline(jnp.zeros(K), jnp.zeros(K + 1), jnp.zeros(K - 1)))
    with pytest.raises(ValueError, match="do not fit"):
        spline(x, Spline(jnp.zeros(K), jnp.zeros(K), jnp.zeros(K - 1)), Limit(least_bin=0.2))


def test_the_ends_of_an_interval_stay_inside():
    """Just inside of an end whose slope is not 1, rounding does not carry a value out of it."""
    keys = jax.random.split(jax.random.key(0), 3)
    params = Spline(
        *(jax.random.normal(k, (1000, n)) for k, n in zip(keys, (K, K, K + 1), strict=True))
    )
    for end, inward in ((-3.0, 1.0), (3.0, -1.0)):
        x = jnp.full(1000, np.nextafter(np.float32(end), np.float32(end + inward)))
        y, log_slope = interval_spline(x, params)
        back, log_back = interval_spline_inverse(y, params)
        assert jnp.abs(y).max() <= 3
        np.testing.assert_allclose(back, x, atol=1e-5)
        np.testing.assert_allclose(log_slope, -log_back, atol=1e-2)
