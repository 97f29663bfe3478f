# SPDX-License-Identifier: Apache-2.0
"""The public convolutions against the definition, scipy and their own adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxml.layers import causal, convolution, same, transposed_convolution, valid

PUBLIC = [
    "2x2 one-sided",
    "4x4 stride 2, unread rest",
    "5x3 stride 2, groups",
    "3x3 stride 2, dilation 2",
    "3x2 stride 2x1, dilation 1x2",
    "cropped",
    "1-D causal, dilation 2",
    "3-D stride 2",
]


def options(geometry):
    return {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
        "groups": geometry.groups,
    }


def rest(geometry):
    """The output padding that leads back to the input: what the last windows left unread."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) % s for n, k, s, p, d in zip(*geometry[:5], strict=True)
    )


@pytest.mark.parametrize("geometry", PUBLIC, indirect=True)
def test_is_the_definition(geometry, operands, definition):
    """In single precision, to a few roundings; the forms behind it have tests of their own."""
    arrays = operands(geometry, dtype=np.float32)
    got = convolution(arrays["input"], arrays["kernel"], **options(geometry))
    truth = definition["output"](arrays["input"], arrays["kernel"], geometry)
    np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("geometry", PUBLIC, indirect=True)
def test_transposed_is_the_definition(geometry, operands, definition):
    """In single precision, to a few roundings; the forms behind it have tests of their own."""
    arrays = operands(geometry, dtype=np.float32)
    got = transposed_convolution(
        arrays["output"], arrays["kernel"], output_padding=rest(geometry), **options(geometry)
    )
    truth = definition["input"](arrays["output"], arrays["kernel"], geometry)
    np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "geometry",
    ["2x2 one-sided", "4x4 stride 2, unread rest", "3x2 stride 2x1, dilation 1x2", "cropped"],
    indirect=True,
)
def test_adjoint(x64, geometry, operands):
    """⟨convolution(x), y⟩ = ⟨x, transposed_convolution(y)⟩ to 1e-12, with the same options."""
    arrays = operands(geometry)

    @jax.jit
    def products(x, kernel, y):
        given = options(geometry)
        there = convolution(x, kernel, **given)
        back = transposed_convolution(y, kernel, output_padding=rest(geometry), **given)
        return jnp.vdot(there, y), jnp.vdot(x, back)

    forward, backward = products(arrays["input"], arrays["kernel"], arrays["output"])
    np.testing.assert_allclose(forward, backward, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("padding", "mode"), [(valid, "valid"), (same, "same"), (2, "full")])
def test_scipy(x64, padding, mode):
    """One channel without stride is `scipy.signal.correlate2d`."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(7, 6)), rng.normal(size=(3, 3))
    got = convolution(
        jnp.asarray(x)[None, :, :, None], jnp.asarray(kernel)[:, :, None, None], padding=padding
    )
    truth = scipy.signal.correlate2d(x, kernel, mode)
    np.testing.assert_allclose(got[0, :, :, 0], truth, atol=1e-13)


def test_transposed_scipy(x64):
    """One channel, stride 2: `scipy.signal.convolve2d` of the input with zeros between."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, 4)), rng.normal(size=(4, 3))
    spread = np.zeros((5, 7))
    spread[::2, ::2] = x
    got = transposed_convolution(
        jnp.asarray(x)[None, :, :, None], jnp.asarray(kernel)[:, :, None, None], stride=2
    )
    np.testing.assert_allclose(got[0, :, :, 0], scipy.signal.convolve2d(spread, kernel), atol=1e-13)


def test_transposed_same_multiplies_the_size():
    """With `same` padding the output is `stride` times as large, for kernels as wide."""
    x, kernel = jnp.ones((1, 5, 3, 1)), jnp.ones((4, 3, 2, 1))
    assert transposed_convolution(x, kernel, stride=(3, 2), padding=same).shape == (1, 15, 6, 2)


def test_causal_sees_no_future(x64):
    """The derivative of output i in input j > i is exactly zero, and is not for j = i."""
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=(3, 1, 1)))
    jacobian = jax.jacobian(
        lambda x: convolution(x[None, :, None], kernel, padding=causal, dilation=2)[0, :, 0]
    )(jnp.ones(7))
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    assert np.all(np.diagonal(jacobian) == kernel[-1, 0, 0])


def test_depthwise_is_a_convolution_a_channel(x64):
    """As many groups as channels: every channel with its own kernel."""
    rng = np.random.default_rng(0)
    x, kernel = (
        jnp.asarray(rng.normal(size=(2, 6, 5, 3))),
        jnp.asarray(rng.normal(size=(3, 3, 1, 3))),
    )
    together = convolution(x, kernel, padding=1, groups=3)
    for c in range(3):
        alone = convolution(x[..., c : c + 1], kernel[..., c : c + 1], padding=1)
        np.testing.assert_allclose(together[..., c : c + 1], alone, atol=1e-13)


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16(stride, groups):
    """Value and gradients in bfloat16 stay within its rounding (2^-8) of single precision."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 8)), jnp.bfloat16)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 8 // groups, 8)), jnp.bfloat16)

    def f(x, kernel):
        return convolution(x, kernel, stride=stride, padding=1, groups=groups)

    @jax.jit
    def everything(x, kernel):
        y, pull = jax.vjp(f, x, kernel)
        return y, *pull(jnp.ones_like(y))

    half = everything(x, kernel)
    single = everything(x.astype(jnp.float32), kernel.astype(jnp.float32))
    for a, b in zip(half, single, strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        ((3, 3, 2, 4), {}, "blocks of the kernel's 2"),
        ((3, 3, 2, 3), {"groups": 2}, "3 output channels"),
        ((3, 3, 4), {}, "one rank"),
        ((7, 3, 4, 4), {}, "exceeds"),
        ((3, 3, 4, 4), {"stride": 0}, "stride"),
        ((3, 3, 4, 4), {"dilation": (1, 1, 1)}, "dilation"),
        ((3, 3, 4, 4), {"padding": ((1, 1),)}, "padding"),
    ],
)
def test_bad_input_is_named(kernel, arguments, message):
    """A convolution that does not fit says what does not."""
    with pytest.raises(ValueError, match=message):
        convolution(jnp.ones((1, 6, 6, 4)), jnp.ones(kernel), **arguments)


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        ((3, 3, 2, 4), {"groups": 3}, "split them evenly"),
        ((3, 3, 2, 4), {"stride": 2, "output_padding": 2}, "below stride"),
        ((3, 3, 2, 4), {"padding": 4}, "leave an output"),
    ],
)
def test_bad_transposed_input_is_named(kernel, arguments, message):
    """A transposed convolution that does not fit says what does not."""
    with pytest.raises(ValueError, match=message):
        transposed_convolution(jnp.ones((1, 6, 6, 4)), jnp.ones(kernel), **arguments)
