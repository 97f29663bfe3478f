# SPDX-License-Identifier: Apache-2.0
"""What a network on images is given, and what is made of its output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.nn import FourierInput, Unshuffled


def test_waves_stand_beside_the_image():
    """(x, sin 2ⁿπx, cos 2ⁿπx) in the order of the powers; time and context go through."""
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 1)), jnp.float32)
    seen = FourierInput(lambda x, t: x, (7, 8))(x, jnp.zeros(2))
    angles = [2.0**n * np.pi * np.asarray(x, "f8") for n in (7, 8)]
    waves = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    np.testing.assert_allclose(seen, np.concatenate([x, *waves], -1), atol=1e-4)
    told = []
    FourierInput(lambda x, *rest: told.append(rest) or x, (1,))(x, jnp.ones(2), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(told[0][0], 1)
    assert told[0][1].shape == (2, 3)
    with pytest.raises(ValueError, match="powers"):
        FourierInput(lambda x: x, ())


def test_squares_become_channels_and_pixels_again():
    """With a network that does nothing, nothing happens; each output depends on its own square."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6, 1)), jnp.float32)
    same = Unshuffled(lambda x, t, context: x)
    np.testing.assert_array_equal(same(x, jnp.zeros(2)), x)
    seen = []
    Unshuffled(lambda x, t, context: seen.append(x.shape) or x, 2)(x, jnp.zeros(2))
    assert seen == [(2, 2, 3, 4)]
    total = Unshuffled(lambda x, t, context: jnp.sum(x, axis=-1, keepdims=True) + 0 * x)
    slope = jax.jacobian(lambda x: total(x, jnp.zeros(2))[0, 0, 0, 0])(x)
    expected = np.zeros((2, 4, 6, 1))
    expected[0, :2, :2] = 1
    np.testing.assert_array_equal(slope, expected)
    with pytest.raises(ValueError, match="factor"):
        Unshuffled(lambda x, t, context: x, 0)
