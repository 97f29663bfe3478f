# SPDX-License-Identifier: Apache-2.0
"""Importance weights where the integral is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.probability import importance


def test_values_are_those_of_the_weights_themselves(x64):
    """Against NumPy on weights that do not overflow, also after a shift by 1000 nats."""
    log_w = np.random.default_rng(0).normal(size=40)
    w = np.exp(log_w)
    found = importance.log_mean(jnp.asarray(log_w + 1000))
    np.testing.assert_allclose(found.value, 1000 + np.log(w.mean()), rtol=1e-14)
    relative = w.std(ddof=1) / np.sqrt(40) / w.mean()
    np.testing.assert_allclose(found.standard_error, relative, rtol=1e-10)
    np.testing.assert_allclose(found.effective, w.sum() ** 2 / (w**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(importance.effective_size(jnp.asarray(log_w)), found.effective)
    np.testing.assert_allclose(importance.normalize(jnp.asarray(log_w)), w / w.sum(), rtol=1e-12)


def test_equal_weights_are_worth_their_number_and_one_weight_one():
    assert importance.effective_size(jnp.full(7, -3.0)) == pytest.approx(7)
    one = jnp.asarray([-jnp.inf, 0.0, -jnp.inf])
    assert importance.effective_size(one) == 1
    found = importance.log_mean(one)
    assert found.value == pytest.approx(-np.log(3))
    assert importance.log_mean(jnp.zeros(5)).standard_error == 0


def test_the_standard_error_covers_a_known_integral():
    """∫ e^(−x²) dx = √π from draws of N(0, 1), in 95 % of 2000 experiments of 400 draws."""
    x = jax.random.normal(jax.random.key(0), (2000, 400))
    log_w = -jnp.square(x) + 0.5 * jnp.square(x) + 0.5 * np.log(2 * np.pi)
    found = jax.jit(jax.vmap(importance.log_mean))(log_w)
    off = np.abs(np.asarray(found.value) - 0.5 * np.log(np.pi)) / np.asarray(found.standard_error)
    assert abs(np.mean(off < 1.96) - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / 2000)


def test_one_weight_has_no_standard_error():
    with pytest.raises(ValueError, match="log_weights"):
        importance.log_mean(jnp.zeros(1))
