# SPDX-License-Identifier: Apache-2.0
"""Activation normalization that begins from a batch, alone and inside of composed layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.bijections import squeeze
from jaxml.nn import ActNorm, Chain, Learned, MultiScale, Squeezed, Stack, start

RNG = np.random.default_rng(0)


def images(n=6, h=4, c=2):
    return jnp.asarray(3 * RNG.normal(size=(n, h, h, c)) + np.arange(c), jnp.float32)


def is_normal(y):
    axes = tuple(range(y.ndim - 1))
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axes), 1, rtol=1e-4)


def test_the_first_batch_is_normalized():
    """Each channel of what the started layer makes of its batch has mean 0 and variance 1."""
    x, layer = images(), ActNorm(2, event=3)
    y, started = start(layer, x)
    is_normal(y)
    again, log_det = started.forward(x)
    np.testing.assert_allclose(again, y, rtol=1e-6)
    np.testing.assert_allclose(log_det, -16 * np.log(np.std(x, (0, 1, 2))).sum(), rtol=1e-4)
    np.testing.assert_array_equal(layer.forward(x)[0], x)  # the layer given stays as it was


class Cube(nnx.Module):
    """y = x³ + x, which is no affine map, so that a layer after it needs numbers of its own."""

    def forward(self, x, context=None):
        return x**3 + x, jnp.log(3 * x**2 + 1).sum(axis=(1, 2, 3))


def test_each_layer_sees_what_the_ones_before_it_make():
    """In a chain, under a loop, squeezed: the image after every normalization is normal."""
    x = images()
    chain = Chain([ActNorm(2, event=3), Cube(), ActNorm(2, event=3)])
    y, started = start(chain, x)
    is_normal(y)
    np.testing.assert_allclose(started.forward(x)[0], y, rtol=1e-5, atol=1e-6)
    stack = Stack(lambda rngs: Chain([Cube(), ActNorm(2, event=3)]), 3, rngs=nnx.Rngs(0))
    y, started = jax.jit(start)(stack, x)
    is_normal(y)
    np.testing.assert_allclose(started.forward(x)[0], y, rtol=1e-4, atol=1e-5)
    first = Chain([Cube(), ActNorm(2, event=3)])
    one = start(first, x)[1].layers[1].params()
    found = started.layers.layers[1].params()
    np.testing.assert_allclose(found.shift[0], one.shift, rtol=1e-5)
    np.testing.assert_allclose(found.log_scale[0], one.log_scale, rtol=1e-5)
    assert np.abs(found.log_scale[1] - found.log_scale[0]).min() > 1e-3


def test_images_at_several_scales_are_normalized():
    """Squeezed by itself and level by level."""
    x = images()
    y, started = start(Squeezed(ActNorm(8, event=3)), x)
    is_normal(squeeze(2).forward(y, ())[0])
    np.testing.assert_allclose(started.forward(x)[0], y, rtol=1e-5)
    levels = [Chain([Learned(squeeze(2)), ActNorm(n, event=3)]) for n in (8, 16)]
    model = MultiScale((4, 4, 2), levels)
    z, started = start(model, x)
    for part in model.parts(z):
        is_normal(part)
    np.testing.assert_allclose(started.forward(x)[0], z, rtol=1e-5)
    assert jax.tree.structure(started) == jax.tree.structure(model)


def test_a_context_reaches_the_layers():
    """A layer that adds its context: the normalization after it sees the sum."""

    class Shift(nnx.Module):
        def forward(self, x, context=None):
            return x + context, jnp.zeros(len(x))

    x, c = jnp.ones((5, 2)), jnp.asarray(RNG.normal(size=(5, 2)), jnp.float32)
    is_normal(start(Chain([Shift(), ActNorm(2)]), x, c)[0])


def test_no_channels_are_refused():
    with pytest.raises(ValueError, match="n: expected a positive number"):
        ActNorm(0)
