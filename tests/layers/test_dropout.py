# SPDX-License-Identifier: Apache-2.0
"""Dropout keeps the mean, in the right proportion, from the key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import dropout


def test_kept_units_are_divided_by_the_probability_to_be_kept():
    """Values are 0 or x/(1 − p), in proportion, and the mean is that of x within 4.5 errors."""
    n, p = 100_000, 0.3
    y = np.asarray(dropout(jnp.full(n, 2.0), jax.random.key(0), p))
    np.testing.assert_allclose(np.unique(y), [0, 2 / (1 - p)], rtol=1e-6)
    kept = (y > 0).mean()
    assert abs(kept - (1 - p)) < 4.5 * np.sqrt(p * (1 - p) / n)
    assert abs(y.mean() - 2) < 4.5 * 2 * np.sqrt(p / (1 - p) / n)


def test_the_key_decides_and_nothing_is_left_out_at_rate_zero():
    x = jnp.ones((50, 4))
    first = dropout(x, jax.random.key(1), 0.5)
    np.testing.assert_array_equal(first, dropout(x, jax.random.key(1), 0.5))
    assert (first != dropout(x, jax.random.key(2), 0.5)).any()
    np.testing.assert_array_equal(dropout(x, jax.random.key(3), 0.0), x)


def test_a_shared_axis_has_one_draw():
    """Whole channels of an image are dropped together."""
    y = np.asarray(dropout(jnp.ones((8, 5, 6, 16)), jax.random.key(0), 0.5, shared=(1, 2)))
    assert (y == y[:, :1, :1]).all()
    assert 0 < (y[:, 0, 0] > 0).mean() < 1


def test_slopes_are_those_of_the_kept_units_and_nan_cannot_leak():
    """dy/dx is 0 or 1/(1 − p); what is left out is 0 even where x is infinite."""
    slope = jax.grad(lambda x: dropout(x, jax.random.key(1), 0.5).sum())(jnp.ones(40))
    y = dropout(jnp.ones(40), jax.random.key(1), 0.5)
    np.testing.assert_array_equal(slope, y)
    out = np.asarray(dropout(jnp.full(40, jnp.inf), jax.random.key(1), 0.5))
    np.testing.assert_array_equal(out[np.asarray(y) == 0], 0)


def test_rates_outside_their_range_are_refused():
    with pytest.raises(ValueError, match="rate: expected a number in"):
        dropout(jnp.ones(3), jax.random.key(0), 1.0)
