# SPDX-License-Identifier: Apache-2.0
"""RealSoftMax and softmin: smooth maxima and minima, and the form that is printed wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from jaxml import numerics


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0])
def test_real_softmax_and_softmin_match_60_digits(temperature, x64):
    """T log Σ e^(x/T) and −T log Σ e^(−x/T), with max ≤ · ≤ max + T log n and the mirror image."""
    x = np.random.default_rng(3).normal(size=(50, 5)) * 3
    with mp.workdps(60):
        t = mp.mpf(temperature)
        high = [float(t * mp.log(mp.fsum(mp.exp(mp.mpf(v) / t) for v in row))) for row in x]
        low = [float(-t * mp.log(mp.fsum(mp.exp(-mp.mpf(v) / t) for v in row))) for row in x]
    high, low = np.array(high), np.array(low)
    names = ("temperature", "axis")
    softmax, softmin = (
        jax.jit(f, static_argnames=names) for f in (numerics.real_softmax, numerics.real_softmin)
    )
    top = np.asarray(softmax(jnp.asarray(x), temperature=temperature, axis=1))
    bottom = np.asarray(softmin(jnp.asarray(x), temperature=temperature, axis=1))
    assert np.max(np.abs(top - high) / (1 + np.abs(high))) <= 1e-14
    assert np.max(np.abs(bottom - low) / (1 + np.abs(low))) <= 1e-14
    slack = temperature * np.log(5) + 1e-14
    assert ((x.max(1) <= top + 1e-14) & (top <= x.max(1) + slack)).all()
    assert ((x.min(1) >= bottom - 1e-14) & (bottom >= x.min(1) - slack)).all()


def test_real_softmax_tends_to_the_maximum_and_has_softmax_for_its_slope(x64):
    """T → 0 gives max and min of any axes, an array serves as T, and ∂/∂x is softmax(x/T)."""
    x = jnp.array([[0.3, -1.2, 2.0], [1e4, -1e4, 5.0]])
    softmax, softmin = numerics.real_softmax, numerics.real_softmin

    @jax.jit
    def values(x, cold):
        rows = [f(x, temperature=cold, axis=1) for f in (softmax, softmin)]
        return rows, [f(x, temperature=cold) for f in (softmax, softmin)]

    @jax.jit
    def slopes(row):
        return [jax.grad(lambda v, f=f: f(v, temperature=0.5))(row) for f in (softmax, softmin)]

    (highest, lowest), (high, low) = values(x, jnp.float64(1e-6))
    up, down = slopes(x[0])
    x = np.asarray(x)
    np.testing.assert_allclose(highest, x.max(1))
    np.testing.assert_allclose(lowest, x.min(1))
    np.testing.assert_allclose(high, 1e4)
    np.testing.assert_allclose(low, -1e4)
    np.testing.assert_allclose(up, np.exp(x[0] / 0.5) / np.exp(x[0] / 0.5).sum(), rtol=1e-14)
    np.testing.assert_allclose(down, np.exp(-x[0] / 0.5) / np.exp(-x[0] / 0.5).sum(), rtol=1e-14)


def test_the_printed_softmin_without_its_signs_is_a_softmax():
    """log Σ e^x lies above every x; the softmin lies below, and −log(e^−a + e^−b) is the pair's."""
    x = jnp.array([0.5, 1.5])
    printed, ours = numerics.logsumexp(x), numerics.real_softmin(x)
    assert printed > x.max()
    assert ours < x.min()
    np.testing.assert_allclose(ours, -np.log(np.exp(-0.5) + np.exp(-1.5)), rtol=1e-6)


def test_a_temperature_must_be_positive():
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="temperature: expected a positive number"):
            numerics.real_softmax(jnp.ones(2), temperature=bad)
