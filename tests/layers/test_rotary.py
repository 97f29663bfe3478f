# SPDX-License-Identifier: Apache-2.0
"""Rotary positions against complex multiplication and the laws of rotations."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxml.layers import rotary


def draw(shape, seed=0, dtype: Any = np.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("d", [2, 6])
def test_is_complex_multiplication(x64, d, interleaved):
    """Each pair of channels as a complex number times e^{i m θ}, in NumPy, to 1e-12."""
    x, position = draw((2, 5, 3, d)), np.array([0, 1, 7, 3, 100])
    theta = 50.0 ** (-2 * np.arange(d // 2) / d)
    turn = np.exp(1j * position[:, None] * theta)[None, :, None]
    pairs = np.asarray(x)
    first = slice(0, None, 2) if interleaved else slice(0, d // 2)
    second = slice(1, None, 2) if interleaved else slice(d // 2, None)
    turned = (pairs[..., first] + 1j * pairs[..., second]) * turn
    truth = np.empty_like(pairs)
    truth[..., first], truth[..., second] = turned.real, turned.imag
    f = partial(rotary, position=jnp.asarray(position), base=50.0, interleaved=interleaved)
    got, one = jax.jit(lambda x: (f(x), f(x[0])))(x)
    np.testing.assert_allclose(got, truth, atol=1e-12)
    np.testing.assert_allclose(one, truth[0], atol=1e-12)


def test_products_depend_on_the_distance_alone(x64):
    """⟨R(m) q, R(n) k⟩ is a function of m − n, and lengths do not change."""
    q, k = draw((1, 1, 8)), draw((1, 1, 8), 1)

    turn = jax.jit(rotary)

    def product(m, n):
        return np.vdot(turn(q, jnp.asarray([m])), turn(k, jnp.asarray([n])))

    np.testing.assert_allclose(product(9, 4), product(105, 100), rtol=1e-12)
    assert abs(product(9, 4) - product(4, 9)) > 1e-3
    turned = turn(q, jnp.asarray([1234]))
    lengths = [np.linalg.norm(np.ravel(a)) for a in (turned, q)]
    np.testing.assert_allclose(*lengths, rtol=1e-12)


def test_position_zero_is_the_identity_and_turns_add_up(x64):
    """R(0) = 1 and R(m) R(n) = R(m + n)."""
    x = draw((4, 2, 6))
    zero, m, n = np.zeros(4, int), np.arange(4), np.array([5, 0, 2, 9])
    turn = jax.jit(rotary)
    np.testing.assert_array_equal(turn(x, zero), x)
    np.testing.assert_allclose(turn(turn(x, m), n), turn(x, m + n), atol=1e-12)


def test_derivatives_and_vmap(x64):
    """Linear in x, in both modes and to second order; vmap is the loop."""
    x, position = draw((2, 3, 1, 4)), jnp.arange(3)
    check_grads(jax.jit(lambda x: jnp.sin(rotary(x, position))), (x,), order=2)
    many = jax.jit(jax.vmap(rotary, (0, None)))(x, position)
    np.testing.assert_allclose(many, jax.jit(rotary)(x, position), atol=1e-14)


def test_bfloat16():
    """Half precision in and out; angles in single precision, where bfloat16 loses whole turns."""
    x, position = draw((3, 1, 4), dtype=jnp.bfloat16), jnp.asarray([1, 257, 4097])
    y, wide = jax.jit(lambda x: (rotary(x, position), rotary(x.astype(jnp.float32), position)))(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float32), wide, rtol=2**-8)


def test_odd_channels_are_refused():
    """Channels go in pairs."""
    with pytest.raises(ValueError, match="d must be even, got 3"):
        rotary(jnp.ones((2, 1, 3)), jnp.arange(2))
