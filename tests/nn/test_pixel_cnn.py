# SPDX-License-Identifier: Apache-2.0
"""Causal networks on images: what is seen and what is not, to the last bit, and pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import CausalConv, GatedPixelCNN, PixelBlock, PixelCNN, RowConv
from jaxml.nn.gated_pixel_cnn import gate


def with_numbers(make):
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape), s.dtype), shapes)


@pytest.mark.parametrize("self_too", [False, True])
def test_a_convolution_reads_above_and_to_the_left(self_too):
    """Every window in NumPy, a tap at a time."""
    conv = with_numbers(lambda: CausalConv(1, 2, (3, 5), self_too=self_too, rngs=nnx.Rngs(0)))
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("f4")
    kernel, bias = np.asarray(conv.kernel[...]), np.asarray(conv.bias[...])
    expected = np.zeros((4, 6, 2))
    for i, j in np.ndindex(4, 6):
        expected[i, j] = bias
        for a, b in np.ndindex(2, 5):
            row, column = i + a - 1, j + b - 2
            before = (a, b) < (1, 2) or (self_too and (a, b) == (1, 2))
            if before and row >= 0 and 0 <= column < 6:
                expected[i, j] += kernel[a, b, 0] * x[row, column]
    found = conv(jnp.asarray(x)[None, :, :, None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_convolution_of_rows_reads_above_and_to_both_sides():
    """Every window in NumPy; a row read from its canvas is that row."""
    conv = with_numbers(lambda: RowConv(1, 2, (5, 3), rngs=nnx.Rngs(0)))
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("f4")
    wide = np.pad(x, ((2, 0), (1, 1)))
    kernel = np.asarray(conv.kernel[...])[:, :, 0]
    expected = np.zeros((4, 6, 2))
    for i, j in np.ndindex(4, 6):
        expected[i, j] = np.tensordot(wide[i : i + 3, j : j + 3], kernel, 2) + conv.bias[...]
    found = jax.jit(conv)(jnp.asarray(x)[None, :, :, None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    @jax.jit
    def third(x):
        canvas = conv.canvas(1, 4, 6)
        for row in range(3):
            canvas = conv.paint(canvas, x[None, row, :, None], row, 0)
        return conv.at(canvas, 2)[0]

    np.testing.assert_allclose(third(jnp.asarray(x)), expected[2], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="window"):
        RowConv(1, 1, (2, 3), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", [PixelCNN, GatedPixelCNN])
def test_an_output_sees_nothing_of_itself_or_of_what_is_later(kind, colours):
    """0.0 change at every output up to the number that was changed, over 200 random networks."""
    shape = (4, 5, colours)
    sizes = {"width": 4 * colours, "n_blocks": 1, "n_out": 2 * colours, "first": (3, 3)}
    net = jax.eval_shape(lambda: kind(shape, **sizes, activation=jnp.tanh, rngs=nnx.Rngs(0)))
    leaves, structure = jax.tree.flatten(net)
    ends = np.cumsum([leaf.size for leaf in leaves])

    def changes(numbers, x, place):
        parts = jnp.split(numbers, ends[:-1])
        shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        both = jnp.stack([x, x.at[place].add(1.0)]).reshape(2, *shape)
        raw = jax.tree.unflatten(structure, shaped)(both)
        raw = raw.reshape(2, -1, 2, colours)  # channel k has colour k mod colours
        return jnp.abs(raw[0] - raw[1]).max(1).reshape(-1)

    rng = np.random.default_rng(0)
    numbers, x = (rng.normal(size=(200, n)).astype("f4") for n in (ends[-1], 20 * colours))
    places = rng.integers(0, 20 * colours, 200)
    found = jax.jit(lambda *args: jax.lax.map(lambda each: changes(*each), args))(
        0.5 * numbers, x, places
    )
    for place, change in zip(places, np.asarray(found), strict=True):
        assert (change[: place + 1] == 0).all()
        # The number read next sees it, unless it begins a row: then the window may not reach.
        if (place + 1) % (5 * colours):
            assert change[place + 1] > 0


def test_stacked_windows_miss_what_is_up_and_to_the_right():
    """The blind spot of 3 x 3 windows: every row further up shows one column more, and no more."""
    net = with_numbers(
        lambda: PixelCNN((4, 8, 1), 6, 1, 1, first=(3, 3), activation=jnp.tanh, rngs=nnx.Rngs(0))
    )
    slope = jax.jit(jax.grad(lambda x: net(x)[0, 3, 2].sum()))(jnp.zeros((1, 4, 8, 1)))
    seen = np.asarray(slope[0, :, :, 0]) != 0
    expected = np.zeros((4, 8), bool)
    expected[3, :2] = True
    expected[2, :4] = True
    expected[1, :5] = True
    np.testing.assert_array_equal(seen, expected)


def test_two_stacks_miss_nothing():
    """Everything before a pixel acts on a gated network, and nothing else: no blind spot."""
    sizes = {"width": 2, "n_blocks": 7, "n_out": 1, "first": (3, 3), "activation": jnp.tanh}
    net = with_numbers(lambda: GatedPixelCNN((4, 8, 1), **sizes, rngs=nnx.Rngs(0)))

    def slope(i, j):
        return jax.grad(lambda x: net(x)[0, i, j].sum())(jnp.zeros((1, 4, 8, 1)))

    for i, j in ((3, 2), (2, 0), (3, 7)):
        seen = np.asarray(jax.jit(slope)(i, j)[0, :, :, 0]) != 0
        np.testing.assert_array_equal(seen.ravel(), np.arange(32) < 8 * i + j)


@pytest.mark.parametrize("kind", [PixelCNN, GatedPixelCNN])
def test_pixel_by_pixel_as_at_once(kind):
    """Canvases painted in the order of reading give the outputs of the whole image, to 1e-5."""
    net = with_numbers(
        lambda: kind((4, 5, 2), 8, 3, 4, first=(5, 5), n_context=3, rngs=nnx.Rngs(0))
    )
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(2, 4, 5, 2)), jnp.float32)
    context = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)

    def step(canvases, i):
        row, column = i // 5, i % 5
        # The last colour of the pixel itself is not read by any of its own outputs.
        canvases = net.paint(canvases, x[:, row, column], row, column)
        raw, canvases = net.at(canvases, row, column, context)
        return canvases, raw

    _, found = jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(20)))(net.canvases(2))
    expected = jax.jit(net)(x, context).reshape(2, 20, 4)
    np.testing.assert_allclose(jnp.moveaxis(found, 0, 1), expected, rtol=1e-4, atol=1e-4)


def test_a_block_begins_as_the_identity_and_sizes_are_checked():
    options = {"n_out": 1, "rngs": nnx.Rngs(0)}
    h = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 2)), jnp.float32)
    block = PixelBlock(2, 1, (3, 3), rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(jax.jit(lambda h: block(h, None, block.conv))(h), h)
    with pytest.raises(ValueError, match="n_blocks"):
        PixelCNN((4, 4, 1), 8, 0, **options)
    with pytest.raises(ValueError, match="colours"):
        PixelCNN((4, 4, 3), 8, 1, **options)
    with pytest.raises(ValueError, match="window"):
        PixelCNN((4, 4, 1), 8, 1, first=(4, 4), **options)
    net = with_numbers(lambda: PixelCNN((4, 4, 1), 4, 1, 1, n_context=2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="built for a context"):
        net(jnp.zeros((1, 4, 4, 1)))
    with pytest.raises(ValueError, match="built for no context"):
        block(h, jnp.zeros((1, 2)), block.conv)


def test_a_gated_network_checks_what_it_is_given():
    with pytest.raises(ValueError, match="width"):
        GatedPixelCNN((4, 4, 1), 0, 1, 1, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="colours"):
        GatedPixelCNN((4, 4, 3), 4, 1, 3, rngs=nnx.Rngs(0))
    net = with_numbers(lambda: GatedPixelCNN((4, 4, 1), 2, 1, 1, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="built for no context"):
        net(jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 2)))
    net = with_numbers(lambda: GatedPixelCNN((4, 4, 1), 2, 1, 1, n_context=2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="built for a context"):
        net(jnp.zeros((1, 4, 4, 1)))


def test_a_gate_opens_with_the_second_half():
    """tanh of the first half of the channels times σ of the second."""
    a, b = np.array([0.3, -2.0]), np.array([1.5, -0.7])
    found = gate(jnp.asarray(np.concatenate([a, b]), jnp.float32))
    np.testing.assert_allclose(found, np.tanh(a) / (1 + np.exp(-b)), rtol=1e-6)
