# SPDX-License-Identifier: Apache-2.0
"""Laws of binarization, and of the protocol around it."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.binarized_mnist import binarize, binarized_mnist


def test_a_pixel_is_on_with_the_probability_of_its_intensity():
    """P(x = 1) = v/255 for every byte v, and the two ends are certain."""
    n = 20_000
    values = jnp.arange(256, dtype=jnp.uint8)
    x = np.asarray(binarize(jnp.tile(values, (n, 1)), jax.random.key(0)))
    assert set(np.unique(x)) == {0.0, 1.0}
    p = np.arange(256) / 255
    error = np.sqrt(p * (1 - p) / n)
    assert (x.mean(axis=0)[[0, 255]] == [0, 1]).all()
    assert (np.abs(x.mean(axis=0) - p) <= 4.5 * error + 1e-12).all()


needs_mnist = pytest.mark.skipif(
    not os.environ.get("JAXML_DATA_DIR"), reason="needs mnist.npz: set JAXML_DATA_DIR"
)


@needs_mnist
def test_static_and_dynamic_training_share_the_held_out_pixels():
    """Only the training pixels differ, and the protocol says so."""
    made = [
        binarized_mnist(None, (784,), 10, jax.random.key(seed), n_test=50, static=static)
        for seed, static in ((0, False), (1, True))
    ]
    np.testing.assert_array_equal(made[0].test, made[1].test)
    np.testing.assert_array_equal(made[0].valid, made[1].valid)
    differing = {k for k in made[0].protocol if made[0].protocol[k] != made[1].protocol[k]}
    assert differing == {"training binarization"}
    drawn_anew = ["mapped" in each.batches.fingerprint for each in made]
    assert drawn_anew == [True, False]
