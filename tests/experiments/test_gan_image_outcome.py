# SPDX-License-Identifier: Apache-2.0
"""What is said of a generator whose images are known."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import gan_image_outcome as outcome
from experiments.digits_images import LEVELS, digits_images
from jaxml.models import gan

IMAGES = digits_images()


def model_of(images):
    """A generator that draws these images, each as likely as the others."""
    table = jnp.asarray(2 * images.astype("f4") / (LEVELS - 1) - 1)

    def generator(z, context=None):
        place = jax.scipy.stats.norm.cdf(z[:, 0]) * float(len(table))
        return table[jnp.minimum(place.astype(jnp.int32), len(table) - 1)]

    return gan.GAN(generator, lambda x, context=None: x.mean((1, 2, 3)), 1)


def judged(images):
    found = outcome.evaluate(
        IMAGES, LEVELS, 200, lambda drawn: [], model_of(images), jax.random.key(0), lambda n: None
    )
    return {evidence.quantity: evidence.value for evidence in found}


def test_whole_numbers_come_back():
    x = np.arange(LEVELS, dtype=np.uint8).reshape(-1, 1, 1, 1)
    y = outcome.real(LEVELS, jnp.asarray(x), jax.random.key(0))
    assert y.min() == -1
    assert y.max() == 1
    np.testing.assert_array_equal(outcome.whole(LEVELS, np.asarray(y)), x)


def test_a_generator_of_training_images_is_caught_and_one_of_others_is_not():
    assert judged(IMAGES.train[:50])["memorized draws"] == 200
    assert judged(IMAGES.valid[:50])["memorized draws"] <= 8


def test_spread_is_that_of_the_data():
    """1 for the data themselves, 0 for one image."""
    spread = [
        outcome.validate(IMAGES.valid, LEVELS, model_of(x), jax.random.key(0))["spread"]
        for x in (IMAGES.valid, IMAGES.valid[:1])
    ]
    np.testing.assert_allclose(spread, [1, 0], atol=0.05)
