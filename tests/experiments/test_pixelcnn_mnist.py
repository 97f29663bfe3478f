# SPDX-License-Identifier: Apache-2.0
"""How images are scored and completed by a network that knows nothing."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import pixelcnn_mnist as experiment
from jaxml.losses.likelihood import bernoulli
from jaxml.metrics import Kind
from jaxml.models.autoregressive import pixel
from jaxml.nn import PixelCNN


def by_chance():
    """All numbers 0: every pixel has probability 1/2."""

    def make():
        network = PixelCNN(experiment.SHAPE, 2, 1, 1, rngs=nnx.Rngs(0))
        return pixel.PixelModel(network, pixel.each(bernoulli()))

    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(make))


IMAGES = np.random.default_rng(0).integers(0, 2, (120, 28, 28, 1)).astype("f4")


def test_pixels_by_chance_cost_one_bit_each():
    told = []
    nats, bits = experiment.evaluate(IMAGES, {}, by_chance(), jax.random.key(0), told.append)
    np.testing.assert_allclose(nats.value, -784 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(bits.value, 1.0, rtol=1e-6)
    assert nats.kind is bits.kind is Kind.EXACT
    assert nats.n == 120
    assert told == [100, 120]
    look = experiment.validate(IMAGES, by_chance(), jax.random.key(0))
    np.testing.assert_allclose(look["nats"], 784 * np.log(2), rtol=1e-6)


def test_completions_keep_the_upper_half_and_draw_the_lower_one_anew():
    """Ten digits, each as it is and nine times with another lower half."""
    x = experiment.draw(IMAGES, by_chance(), jax.random.key(0))["completions"].images
    x = x.reshape(10, 10, 28, 28)
    known = IMAGES[:10, :, :, 0]
    np.testing.assert_array_equal(x[:, 0], known)
    np.testing.assert_array_equal(x[:, :, :14], known[:, None, :14].repeat(10, axis=1))
    changed = (x[:, 1:, 14:] != known[:, None, 14:]).mean()
    assert abs(changed - 0.5) < 4.5 * 0.5 / np.sqrt(x[:, 1:, 14:].size)
