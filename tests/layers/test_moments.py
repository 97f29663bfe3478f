# SPDX-License-Identifier: Apache-2.0
"""One reading of the data gives the mean and the variance, however far the mean is from zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers.moments import flat, moments


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("of_batch", "axes"), [(False, (1, 2)), (True, (0, 1, 2))])
def test_is_the_definition(x64, of_batch, axes, groups):
    """s + (μ − s) and σ² are NumPy's mean and variance over axes and channels of a group."""
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 6)) + np.arange(6)
    shift, offset, variance = moments(flat(jnp.asarray(x)), groups, of_batch=of_batch)
    parts = x.reshape(3, 4, 5, groups, -1)
    for got, truth in (
        (shift + offset, parts.mean((*axes, 4), keepdims=True)),
        (variance, parts.var((*axes, 4), keepdims=True)),
    ):
        truth = np.broadcast_to(truth, (*truth.shape[:-1], 6 // groups))
        np.testing.assert_allclose(got, truth.reshape(got.shape), atol=1e-12)


def test_the_shift_is_what_keeps_the_digits():
    """Single precision, mean 1e4: E[x²] − E[x]² is off by more than 1, the shifted form by 1e-6."""
    x = np.random.default_rng(0).normal(size=(1, 64, 64, 2)).astype(np.float32) + np.float32(1e4)
    truth = x.astype(np.float64).var((0, 1, 2))
    printed = jnp.mean(jnp.square(x), (0, 1, 2)) - jnp.square(jnp.mean(x, (0, 1, 2)))
    assert np.all(np.abs(printed - truth) > 1)
    variance = moments(flat(jnp.asarray(x)), 2).variance
    np.testing.assert_allclose(variance.reshape(-1), truth, rtol=1e-6)


def test_the_data_are_not_squared_apart_from_their_differences():
    """Overflow of x² in single precision is none of (x − s)²."""
    x = jnp.asarray([[1e20], [1e20 + 1e15]], jnp.float32)
    variance = moments(flat(x), 1, of_batch=True).variance
    np.testing.assert_allclose(variance, np.var(np.asarray(x, np.float64)), rtol=1e-5)


def test_small_arrays_stay_apart_from_the_passes():
    """No compiled loop over the data works out the arithmetic of a group: barriers hold it back."""
    x = jnp.ones((2, 4, 4, 8))
    text = jax.jit(lambda x: moments(flat(x), 2)).lower(x).as_text()
    assert text.count("optimization_barrier") == 2
