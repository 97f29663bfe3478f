# SPDX-License-Identifier: Apache-2.0
"""Pyramids of strided convolutions: sizes, locality, mirrors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up, lowest


def with_numbers(build):
    """The module that `build()` gives, with NumPy's weights: nothing is compiled for it."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda s: jnp.asarray(0.3 * rng.normal(size=s.shape), s.dtype), jax.eval_shape(build)
    )


@pytest.mark.parametrize("size", [8, 28])
def test_down_halves_and_up_doubles(size):
    """size → size/4 with two stages, and back to the size of the image."""

    def there_and_back(x, key):
        low = Down(1, (3, 5), rngs=nnx.Rngs(key))(x)
        return low, Up((5, 3), 2, rngs=nnx.Rngs(1))(low)

    low, high = jax.eval_shape(there_and_back, jnp.zeros((2, size, size, 1)), jax.random.key(0))
    assert low.shape == (2, size // 4, size // 4, 5)
    assert high.shape == (2, size, size, 2)


def test_a_stage_of_up_is_the_transpose_of_a_stage_of_down():
    """⟨y, down(x)⟩ = ⟨up(y), x⟩ for equal kernels, without activations and biases."""
    linear = {"activation": lambda x: x}
    down = with_numbers(lambda: Down(2, (3,), **linear, rngs=nnx.Rngs(0)))
    up = with_numbers(lambda: Up((3,), 2, **linear, rngs=nnx.Rngs(0)))
    up.stages[0].kernel.set_value(down.stages[0].kernel[...])
    for stage in (*down.stages, *up.stages):
        stage.bias.set_value(jnp.zeros_like(stage.bias[...]))
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    y = jax.random.normal(jax.random.key(1), (1, 4, 4, 3))
    low, high = jax.jit(lambda x, y: (down(x), up(y)))(x, y)
    np.testing.assert_allclose(np.vdot(y, low), np.vdot(high, x), rtol=1e-5)


def test_a_stage_that_resizes_is_a_convolution_of_repeated_positions():
    """With a kernel of ones the middle of y is the sum over 3 x 3 repeated positions."""
    up = with_numbers(lambda: Up((1,), 1, resize=True, activation=lambda x: x, rngs=nnx.Rngs(0)))
    up.stages[0].kernel.set_value(jnp.ones((3, 3, 1, 1)))
    up.stages[0].bias.set_value(jnp.zeros(1))
    x = np.random.default_rng(1).normal(size=(1, 4, 4, 1)).astype("f4")
    wide = np.pad(x[0, :, :, 0].repeat(2, 0).repeat(2, 1), 1)
    expected = sum(wide[i : i + 8, j : j + 8] for i in range(3) for j in range(3))
    np.testing.assert_allclose(up(jnp.asarray(x))[0, :, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_low_position_sees_its_own_neighbourhood_only():
    """The derivative of one output of two stages is confined to a 10x10 window."""
    down = with_numbers(lambda: Down(1, (3, 5), rngs=nnx.Rngs(0)))
    x = jax.random.normal(jax.random.key(0), (1, 28, 28, 1))
    slope = jax.jit(jax.grad(lambda x: jnp.sum(down(x)[0, 3, 3])))(x)[0, :, :, 0]
    rows, columns = np.nonzero(np.asarray(slope))
    assert rows.min() == columns.min() == 4 * 3 - 3
    assert rows.max() == columns.max() == 4 * 3 + 6


def test_context_reaches_encoder_and_decoder():
    """Another context, another output; shapes as declared."""
    encoder = with_numbers(
        lambda: ImageEncoder((4, 4, 1), (2,), 8, 5, n_context=3, rngs=nnx.Rngs(0))
    )
    decoder = with_numbers(
        lambda: ImageDecoder(5, 8, (2,), (4, 4, 2), n_context=3, rngs=nnx.Rngs(0))
    )
    encoder, decoder = jax.jit(encoder.__call__), jax.jit(decoder.__call__)
    x, one, other = jnp.ones((2, 4, 4, 1)), jnp.eye(3)[:2], jnp.eye(3)[1:]
    z = encoder(x, one)
    assert z.shape == (2, 5)
    assert decoder(z, one).shape == (2, 4, 4, 2)
    assert not np.allclose(z, encoder(x, other))
    assert not np.allclose(decoder(z, one), decoder(z, other))


def test_sizes_must_halve_evenly():
    assert lowest((28, 28, 1), 2) == (7, 7)
    with pytest.raises(ValueError, match="28x28 images do not halve evenly 3 times"):
        ImageEncoder((28, 28, 1), (4, 4, 4), 8, 2, rngs=nnx.Rngs(0))
