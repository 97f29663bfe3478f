# SPDX-License-Identifier: Apache-2.0
"""The parts of a U-Net: a block against NumPy, sizes that halve and double without a pattern."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import ConvTranspose, Downsample, ImageAttention, TimedResidualBlock, Upsample
from jaxml.nn.residual_image import groups_of


def with_numbers(make):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.4 * rng.normal(size=s.shape)), shapes)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def convolved(x, conv):
    """One image `h w c`, a window at a time, zeros around it."""
    kernel, bias = np.asarray(conv.kernel[...]), np.asarray(conv.bias[...])
    k, (h, w, _) = kernel.shape[0], x.shape
    padded = np.pad(x, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    y = np.empty((h, w, kernel.shape[-1]))
    for i in range(h):
        for j in range(w):
            y[i, j] = np.tensordot(padded[i : i + k, j : j + k], kernel, 3) + bias
    return y


def normalized(x, norm):
    """One image, group by group."""
    size, y = x.shape[-1] // norm.groups, np.empty_like(x)
    for g in range(norm.groups):
        own = slice(g * size, (g + 1) * size)
        y[..., own] = (x[..., own] - x[..., own].mean()) / np.sqrt(x[..., own].var() + 1e-5)
    return y * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


def silu(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("n_out", [8, 12])
def test_a_block_is_two_convolutions_that_time_modulates(n_out, scale, x64):
    """s(x) + W₂ a((1 + γ) GN(h) + β), or GN(h + β), with h = W₁ a(GN(x)): in NumPy to 1e-11."""
    module = with_numbers(lambda: TimedResidualBlock(8, n_out, 3, scale=scale, rngs=nnx.Rngs(0)))
    x, e = draw(2, 4, 6, 8), draw(2, 3)
    got = jax.jit(module.__call__)(x, e)
    assert module.first_norm.groups == 2
    for image, time, mine in zip(np.asarray(x), np.asarray(e), got, strict=True):
        h = convolved(silu(normalized(image, module.first_norm)), module.first)
        of_time = time @ np.asarray(module.modulation.kernel[...])
        of_time = of_time + np.asarray(module.modulation.bias[...])
        if scale:
            h = (1 + of_time[:n_out]) * normalized(h, module.second_norm) + of_time[n_out:]
        else:
            h = normalized(h + of_time, module.second_norm)
        skip = image if n_out == 8 else convolved(image, module.skip)
        expected = skip + convolved(silu(h), module.second)
        np.testing.assert_allclose(mine, expected, rtol=1e-11, atol=1e-11)


def test_a_block_begins_as_its_skip():
    """The identity where channels stay; the second convolution has a slope that moves it."""
    x, e = draw(1, 4, 4, 4).astype(jnp.float32), jnp.ones((1, 3))

    def value(module):
        y = module(x, e)
        return jnp.sin(y).sum(), y

    @jax.jit
    def begun():
        return jax.grad(value, has_aux=True)(TimedResidualBlock(4, 4, 3, rngs=nnx.Rngs(0)))

    slope, y = begun()
    np.testing.assert_array_equal(y, x)
    assert np.abs(slope.second.kernel[...]).max() > 0.1


def test_dropout_stands_before_the_second_convolution(x64):
    """With W₂ the identity each number of the branch is 0 or 1/(1 − p) times what it was."""
    module = with_numbers(lambda: TimedResidualBlock(4, 4, 3, dropout=0.25, rngs=nnx.Rngs(0)))
    module.second.kernel[...] = jnp.zeros((3, 3, 4, 4)).at[1, 1].set(jnp.eye(4))
    module.second.bias[...] = jnp.zeros(4)
    x, e, run = draw(2, 4, 4, 4), draw(2, 3), jax.jit(module.__call__)
    plain, dropped = (run(x, e, key=key) - x for key in (None, jax.random.key(0)))
    gone = np.abs(dropped) < 1e-12
    assert 10 <= gone.sum() <= 60
    np.testing.assert_allclose(dropped, np.where(gone, 0, plain / 0.75), rtol=1e-9, atol=1e-12)


def test_a_larger_constant_is_constant(x64):
    """No kernel draws a checkerboard inside; a transposed convolution of as many taps does."""
    flat = jnp.full((1, 6, 6, 3), 0.7)
    up = with_numbers(lambda: Upsample(3, rngs=nnx.Rngs(0)))
    inside = up(flat)[:, 1:-1, 1:-1]
    assert inside.shape == (1, 10, 10, 3)
    np.testing.assert_allclose(inside, np.broadcast_to(inside[:, :1, :1], inside.shape), rtol=1e-13)
    transposed = with_numbers(
        lambda: ConvTranspose(3, 3, (3, 3), stride=2, padding=1, rngs=nnx.Rngs(0))
    )
    assert np.ptp(np.asarray(transposed(flat)[0, 2:-2, 2:-2]), axis=(0, 1)).max() > 0.1


def test_sizes_halve_and_double_where_the_image_is(x64):
    """An image moved by two pixels is half of it moved by one, and the other way round."""
    x = np.zeros((1, 12, 12, 2))
    x[:, 4:8, 4:8] = draw(1, 4, 4, 2)
    moved = np.roll(x, (2, 2), (1, 2))
    down = with_numbers(lambda: Downsample(2, rngs=nnx.Rngs(0)))
    low, low_moved = down(jnp.asarray(x)), down(jnp.asarray(moved))
    assert low.shape == (1, 6, 6, 2)
    np.testing.assert_allclose(low_moved, np.roll(low, (1, 1), (1, 2)), rtol=1e-12, atol=1e-13)
    up = with_numbers(lambda: Upsample(2, rngs=nnx.Rngs(0)))
    high, high_moved = up(jnp.asarray(x)), up(jnp.asarray(np.roll(x, (1, 1), (1, 2))))
    assert high.shape == (1, 24, 24, 2)
    inside = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(
        high_moved[inside], np.roll(high, (2, 2), (1, 2))[inside], rtol=1e-12
    )


def test_windows_stand_over_their_pixels(x64):
    """With the middle tap alone, half the size is every second pixel, twice the size each twice."""
    x = draw(1, 4, 6, 2)
    down = with_numbers(lambda: Downsample(2, rngs=nnx.Rngs(0)))
    up = with_numbers(lambda: Upsample(2, rngs=nnx.Rngs(0)))
    for module in (down, up):
        module.conv.kernel[...] = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
        module.conv.bias[...] = jnp.zeros(2)
    np.testing.assert_array_equal(down(x), x[:, ::2, ::2])
    np.testing.assert_array_equal(up(x), np.repeat(np.repeat(x, 2, axis=1), 2, axis=2))


def test_attention_looks_everywhere_and_knows_no_place(x64):
    """Every pixel reads every other; pixels exchanged, outputs exchanged; the identity at first."""
    module, x = (
        with_numbers(lambda: ImageAttention(8, head_width=4, rngs=nnx.Rngs(0))),
        draw(2, 3, 4, 8),
    )
    assert module.attention.n_heads == 2
    run, order = jax.jit(module.__call__), np.random.default_rng(2).permutation(12)

    def exchanged(x):
        return x.reshape(2, 12, 8)[:, order].reshape(2, 3, 4, 8)

    np.testing.assert_allclose(run(exchanged(x)), exchanged(run(x)), rtol=1e-11, atol=1e-12)
    module.norm = lambda x: x  # moments of groups would let every pixel see every other
    slope = jax.jit(jax.grad(lambda x: module(x)[0, 1, 1].sum()))(x)
    assert (np.abs(slope[0]).sum(-1) > 1e-9).all()
    np.testing.assert_array_equal(slope[1], 0)
    begun = jax.jit(lambda x: ImageAttention(8, rngs=nnx.Rngs(0))(x))
    np.testing.assert_array_equal(begun(x.astype(jnp.float32)), x.astype(jnp.float32))


def test_groups_divide_channels_and_have_four_each():
    for channels, groups in ((128, 32), (256, 32), (384, 32), (512, 32), (192, 32), (96, 24)):
        assert groups_of(channels) == groups
    for channels, groups in ((32, 8), (64, 16), (48, 12), (8, 2), (4, 1), (3, 1), (11, 1), (10, 2)):
        assert groups_of(channels) == groups


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"dropout: expected a number in \[0, 1\), got 1.5"):
        TimedResidualBlock(4, 4, 3, dropout=1.5, rngs=nnx.Rngs(0))
    for head_width in (0, 3):
        with pytest.raises(ValueError, match=f"head_width: expected a divisor .* got {head_width}"):
            ImageAttention(4, head_width=head_width, rngs=nnx.Rngs(0))
