# SPDX-License-Identifier: Apache-2.0
"""The polynomial through past values, and the integrals of its powers."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxml.diffusion import multistep


def past_of(values, steps):
    """What is remembered after these values, with a step behind each."""
    past = multistep.start(jnp.asarray(values[0]))
    for value, h in zip(values, steps, strict=True):
        past = multistep.remember(past, jnp.asarray(value), jnp.asarray(h))
    return past


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("h", [1e-8, 1e-3, 0.1, 0.4999, 0.5001, 2.0, 30.0])
def test_weights_are_the_integrals(k, h, x64):
    """∫ e^(u − h) (u/h)^k/k! du over [0, h], to 13 digits on both sides of the change of form."""
    exact = mpmath.quad(lambda s: h * mpmath.exp(h * (s - 1)) * s**k, [0, 1]) / mpmath.factorial(k)
    np.testing.assert_allclose(multistep.exponential(k, jnp.asarray(h)), float(exact), rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_polynomial_goes_through_its_values(order, sign, x64):
    """Slope and curvature are those of numpy's fit, whatever the steps and their direction."""
    steps, h, values = sign * np.array([0.3, 0.7]), sign * 0.5, np.array([1.0, -0.4, 2.0])
    places = np.array([-(steps[0] + steps[1]), -steps[1], 0.0]) / h
    fit = np.polyfit(places[3 - order :], values[3 - order :], order - 1)
    slope, curvature = (np.polyder(np.poly1d(fit), k)(0.0) for k in (1, 2))
    past = past_of(values[:2], steps)
    weights = tuple(jnp.asarray(w) for w in (0.4, 0.4, 0.9))
    found = multistep.extrapolated(order, jnp.asarray(h), jnp.asarray(values[2]), past, weights)
    np.testing.assert_allclose(found, 0.4 * slope + 0.9 * curvature, rtol=1e-12)


def test_two_values_have_a_weight_of_their_own(x64):
    """Of second order w alone counts, and of third order too as long as two values are all."""
    past = past_of([1.0], [0.25])
    weights = tuple(jnp.asarray(w) for w in (0.7, 99.0, 99.0))
    for order in (2, 3):
        found = multistep.extrapolated(order, jnp.asarray(0.5), jnp.asarray(3.0), past, weights)
        np.testing.assert_allclose(found, 0.7 * 2 * (3.0 - 1.0), rtol=1e-12)


def test_nothing_reaches_over_an_infinite_step(x64):
    """After one, values count anew, and what was before is not looked at, be it NaN."""
    past = past_of([np.nan, np.nan, 1.0], [0.1, np.inf, 0.5])
    assert past.n_values == 1
    weights = tuple(jnp.asarray(w) for w in (0.7, 99.0, 99.0))
    found = multistep.extrapolated(3, jnp.asarray(0.5), jnp.asarray(3.0), past, weights)
    np.testing.assert_allclose(found, 0.7 * (3.0 - 1.0), rtol=1e-12)
    np.testing.assert_array_equal(multistep.slope(past, jnp.asarray(0.5)), 0.0)
