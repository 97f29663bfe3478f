# SPDX-License-Identifier: Apache-2.0
"""Averages of parameters against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.optimizers import exponential_average, polyak_average


def test_an_exponential_average_in_half_precision_moves():
    """From 1 towards 2 with decay 0.999: 2 − 0.999¹⁰⁰⁰ = 1.6323; in bfloat16 it would stay at 1."""
    target = {"w": jnp.full(3, 2.0, jnp.bfloat16)}

    def step(average, _):
        return exponential_average(average, target, 0.999), None

    start = {"w": jnp.ones(3, jnp.float32)}
    found, _ = jax.lax.scan(step, start, None, length=1000)
    assert found["w"].dtype == jnp.float32
    np.testing.assert_allclose(found["w"], 1.632305, atol=1e-3)
    half = jnp.ones((), jnp.bfloat16)
    stuck = half + jnp.asarray(0.001, jnp.bfloat16) * (target["w"][0] - half)
    assert stuck == 1.0


def test_a_polyak_average_is_the_mean(x64):
    """Each of n parameters weighs 1/n, to 1e-12."""
    points = np.random.default_rng(0).normal(size=(50, 4))
    average = jnp.full(4, 7.0)
    for n, point in enumerate(points):
        average = polyak_average(average, jnp.asarray(point), n)
    np.testing.assert_allclose(average, points.mean(0), rtol=1e-12, atol=1e-12)


def test_counters_are_copied():
    """What holds no real numbers is that of the parameters, and keeps its dtype."""
    old, new = {"n": jnp.int32(3), "w": jnp.zeros(2)}, {"n": jnp.int32(8), "w": jnp.ones(2)}
    for found in (exponential_average(old, new, 0.75), polyak_average(old, new, 3)):
        assert found["n"] == 8
        assert found["n"].dtype == jnp.int32
        np.testing.assert_allclose(found["w"], 0.25)
