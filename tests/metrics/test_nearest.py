# SPDX-License-Identifier: Apache-2.0
"""Nearest training examples: the distance, and copies that are caught."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.data import digits
from jaxml.metrics import memorized, nearest


def images(n, seed):
    return np.random.default_rng(seed).uniform(size=(n, 5, 4, 1)).astype("f4")


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_distances_are_mean_absolute_differences(rows):
    """Against all pairs in NumPy, whatever the number of draws at once."""
    x, references = images(20, 0), images(33, 1)
    each = np.abs(x[:, None] - references[None]).mean(axis=(2, 3, 4))
    found = nearest(jnp.asarray(x), jnp.asarray(references), rows=rows)
    np.testing.assert_array_equal(found.which, each.argmin(1))
    np.testing.assert_allclose(found.distance, each.min(1), rtol=1e-5)


def test_whole_numbers_do_not_wrap_around():
    """|3 − 250| of bytes is 247, not 9."""
    found = nearest(jnp.full((1, 2), 3, jnp.uint8), jnp.full((1, 2), 250, jnp.uint8))
    assert found.distance == 247


def test_a_copied_training_image_is_caught():
    """Ten copies, slightly noisy, among test images of digits: ten are found, and no other."""
    train, _, test = (jnp.asarray(part["x"]) for part in digits())
    copies = train[100:110] + 0.01 * jax.random.normal(jax.random.key(0), train[100:110].shape)
    fresh, known = test[:100], test[100:]
    held_out = nearest(known, train)
    count, limit = memorized(nearest(copies, train), held_out)
    assert count == 10
    assert limit > 0.01
    assert memorized(nearest(fresh, train), held_out)[0] <= 1
    np.testing.assert_array_equal(nearest(copies, train).which, np.arange(100, 110))


def test_held_out_data_are_below_their_quantile_as_often_as_it_says():
    distances = nearest(jnp.asarray(images(500, 2)), jnp.asarray(images(50, 3)))
    count, _ = memorized(distances, distances, quantile=0.1)
    assert abs(int(count) - 50) <= 1


def test_what_does_not_fit_is_refused():
    x = jnp.zeros((3, 4))
    with pytest.raises(ValueError, match="references"):
        nearest(x, jnp.zeros((0, 4)))
    found = nearest(x, x)
    with pytest.raises(ValueError, match="quantile"):
        memorized(found, found, quantile=0.0)
