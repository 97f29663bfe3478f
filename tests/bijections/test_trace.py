# SPDX-License-Identifier: Apache-2.0
"""Traces of Jacobians against the Jacobian written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.bijections import exact_trace, hutchinson_trace
from jaxml.probability.monte_carlo import estimate

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=(4, 4)), RNG.normal(size=(2, 2))


def f(x):
    return jnp.tanh(jnp.asarray(W) @ x.reshape(4)).reshape(2, 2)


def jacobian():
    """diag(1 − tanh²(Wx)) W."""
    return (1 - np.tanh(W @ X.reshape(4)) ** 2)[:, None] * W


def test_the_trace_of_all_columns_is_exact(x64):
    """Of an event with two axes: value, tr J and Σ J²."""
    found = jax.jit(lambda x: exact_trace(f, x))(jnp.asarray(X))
    np.testing.assert_allclose(found.value, np.tanh(W @ X.reshape(4)).reshape(2, 2), rtol=1e-13)
    np.testing.assert_allclose(found.trace, np.trace(jacobian()), rtol=1e-13)
    np.testing.assert_allclose(found.frobenius, (jacobian() ** 2).sum(), rtol=1e-13)


@pytest.mark.parametrize("draw", [jax.random.rademacher, jax.random.normal])
def test_hutchinson_is_unbiased(draw, x64):
    """The means over 20000 draws of εᵀJε and ‖εᵀJ‖² are tr J and Σ J²; ε has the given row."""
    noise = draw(jax.random.key(0), (20_000, 2, 2), jnp.float64)
    found = jax.jit(jax.vmap(lambda noise: hutchinson_trace(f, jnp.asarray(X), noise)))(noise)
    rows = np.asarray(noise).reshape(-1, 4) @ jacobian()
    np.testing.assert_allclose(found.frobenius, (rows**2).sum(1), rtol=1e-12)
    truth = {"trace": np.trace(jacobian()), "frobenius": (jacobian() ** 2).sum()}
    for name, value in truth.items():
        mean, error = estimate(getattr(found, name))
        assert abs(mean - value) < 4.5 * error, name
        assert error < 0.03 * abs(value), name


def test_signs_have_no_variance_on_a_diagonal_jacobian(x64):
    """εᵀ diag(d) ε = Σ d for signs, draw by draw, and not for normal noise."""
    x = jnp.asarray(RNG.normal(size=3))

    def trace(draw):
        noise = draw(jax.random.key(1), (9, 3), jnp.float64)
        return jax.vmap(lambda noise: hutchinson_trace(jnp.sin, x, noise).trace)(noise)

    np.testing.assert_allclose(trace(jax.random.rademacher), np.cos(x).sum(), rtol=1e-13)
    assert np.std(trace(jax.random.normal)) > 0.1
