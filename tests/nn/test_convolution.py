# SPDX-License-Identifier: Apache-2.0
"""Convolutions as modules: their maths is that of the layers, their parameters start as said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxml.layers import convolution, same, transposed_convolution
from jaxml.nn.convolution import Conv, ConvTranspose


def image(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


def with_numbers(build):
    """The module that `build()` gives, with NumPy's weights: nothing is compiled for it."""
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda s: jnp.asarray(0.3 * rng.normal(size=s.shape), s.dtype), jax.eval_shape(build)
    )


def test_conv_is_convolution_and_bias():
    """y = convolution(x, K) + b, with the options of the constructor."""
    options = {"stride": [2, 1], "padding": [(1, 0), 1], "dilation": (1, 2), "groups": 2}
    given = {"stride": (2, 1), "padding": ((1, 0), (1, 1)), "dilation": (1, 2), "groups": 2}
    layer = with_numbers(lambda: Conv(4, 6, (3, 2), **options, rngs=nnx.Rngs(0)))
    y, bare = jax.jit(lambda x: (layer(x), convolution(x, layer.kernel[...], **given)))(
        image(2, 7, 8, 4)
    )
    expected = np.asarray(bare) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


def test_conv_transpose_is_transposed_convolution_and_bias():
    """y = transposed_convolution(x, K) + b, with the options of the constructor."""
    given = {"stride": 2, "padding": 1, "output_padding": (1, 0), "groups": 2}
    layer = with_numbers(lambda: ConvTranspose(6, 4, (3, 4), **given, rngs=nnx.Rngs(0)))
    y, bare = jax.jit(lambda x: (layer(x), transposed_convolution(x, layer.kernel[...], **given)))(
        image(2, 5, 4, 6)
    )
    assert y.shape == (2, 10, 8, 4)
    expected = np.asarray(bare) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


def test_they_are_the_layers_of_flax():
    """With one kernel, Flax's `Conv` and `ConvTranspose` (turned kernels) give the same numbers."""
    turned = {"strides": (2, 2), "transpose_kernel": True}
    pairs = [
        (
            with_numbers(lambda: Conv(3, 4, (3, 3), stride=2, padding=same, rngs=nnx.Rngs(0))),
            with_numbers(lambda: nnx.Conv(3, 4, (3, 3), strides=2, rngs=nnx.Rngs(0))),
        ),
        (
            with_numbers(
                lambda: ConvTranspose(3, 4, (4, 4), stride=2, padding=same, rngs=nnx.Rngs(0))
            ),
            with_numbers(lambda: nnx.ConvTranspose(3, 4, (4, 4), **turned, rngs=nnx.Rngs(0))),
        ),
    ]
    for ours, theirs in pairs:
        theirs.kernel[...], theirs.bias[...] = ours.kernel[...], ours.bias[...]
    x = image(2, 7, 6, 3)
    for ours, theirs in jax.jit(lambda x: [(a(x), b(x)) for a, b in pairs])(x):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [Conv, ConvTranspose])
def test_initial_variance(module):
    """K has variance 1 / (taps * input channels of a group) and mean 0, b is 0."""
    layer = jax.jit(lambda: module(64, 96, (3, 3), groups=2, rngs=nnx.Rngs(0)))()
    fan_in = 9 * 64 // 2 if module is Conv else 9 * 64
    kernel = np.asarray(layer.kernel[...], np.float64)
    n = kernel.size
    # Truncated normals have a kurtosis below 3, so sqrt(2 / n) bounds the relative error.
    assert abs(kernel.var() * fan_in - 1) < 4.5 * np.sqrt(2 / n)
    assert abs(kernel.mean()) < 4.5 / np.sqrt(fan_in * n)
    np.testing.assert_array_equal(layer.bias[...], 0)


def test_without_bias():
    """`bias=False` leaves one parameter, the kernel."""
    layer = jax.jit(lambda: Conv(1, 2, (3,), bias=False, rngs=nnx.Rngs(0)))()
    assert jax.tree.map(jnp.shape, jax.tree.leaves(layer)) == [(3, 1, 2)]
    assert jax.jit(layer.__call__)(image(1, 5, 1)).shape == (1, 3, 2)


def test_computes_in_the_dtype_asked_for():
    """Parameters and their gradients stay float32, the result is bfloat16."""

    def everything(x):
        layer = Conv(2, 3, (3, 3), padding=1, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
        gradient = jax.grad(lambda layer: layer(x).astype(jnp.float32).sum())(layer)
        return layer(x), (layer, gradient)

    y, wide = jax.eval_shape(everything, image(1, 6, 6, 2))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(wide)} == {jnp.dtype(jnp.float32)}


def test_an_autoencoder_trains_in_a_scan():
    """Descent on a convolution and its transpose in `lax.scan` halves a reconstruction error."""
    x = image(8, 8, 8, 1)

    def loss(model):
        encode, decode = model
        return jnp.mean(jnp.square(decode(jax.nn.tanh(encode(x))) - x))

    def step(model, _):
        value, gradient = jax.value_and_grad(loss)(model)
        return jax.tree.map(lambda p, g: p - 0.5 * g, model, gradient), value

    @jax.jit
    def train():
        model = (
            Conv(1, 8, (4, 4), stride=2, padding=1, rngs=nnx.Rngs(0)),
            ConvTranspose(8, 1, (4, 4), stride=2, padding=1, rngs=nnx.Rngs(1)),
        )
        trained, values = lax.scan(step, model, None, length=150)
        return loss(trained), values[0], values[-1]

    final, first, last = train()
    assert last < first / 2
    np.testing.assert_allclose(final, last, rtol=0.05)


@pytest.mark.parametrize("module", [Conv, ConvTranspose])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 2}, "groups = 2 must divide"),
        ({"stride": (1, 1, 1)}, "stride"),
        ({"dilation": 0}, "dilation"),
        ({"padding": (1, 2, 3)}, "padding"),
    ],
)
def test_bad_options_are_named_at_construction(module, arguments, message):
    """Nothing that cannot work gets as far as the first call."""
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: module(3, 4, (3, 3), rngs=nnx.Rngs(0), **arguments))
