# SPDX-License-Identifier: Apache-2.0
"""How patches become vectors, and which way up they are learned."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bsds300 import flip, flip_and_prepare, prepare, show

PATCHES = np.random.default_rng(0).integers(0, 256, (400, 64)).astype(np.uint8)


def test_a_patch_is_flipped_in_four_ways():
    """Each of the four comes in a quarter of the cases, and nothing else does."""
    flipped = np.asarray(flip(jnp.asarray(PATCHES), jax.random.key(0))).reshape(-1, 8, 8)
    whole = PATCHES.reshape(-1, 8, 8)
    ways = [whole, whole[:, ::-1], whole[:, :, ::-1], whole[:, ::-1, ::-1]]
    same = np.array([(flipped == way).all((1, 2)) for way in ways])
    assert (same.sum(0) == 1).all()
    assert (np.abs(same.mean(1) - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / 400)).all()


def test_a_vector_is_a_patch_without_its_mean_and_its_last_pixel():
    """(x + u)/256 less its mean: 63 numbers within a noise of 1/256 of those without noise."""
    x = np.asarray(prepare(jnp.asarray(PATCHES), jax.random.key(0)))
    assert x.shape == (400, 63)
    plain = PATCHES / 256 - (PATCHES / 256).mean(1, keepdims=True)
    assert np.abs(x - plain[:, :63]).max() < 1 / 256
    np.testing.assert_allclose(256 * (x - plain[:, :63]).std(), (63 / 64 / 12) ** 0.5, rtol=0.02)
    shown = show(x).reshape(400, 64)
    np.testing.assert_allclose(shown[:, :63], np.clip(0.5 + x, 0, 1), atol=1e-6)
    assert np.abs(shown[:, 63] - np.clip(0.5 + plain[:, 63], 0, 1)).max() < 1 / 256


def test_flips_and_noise_have_keys_of_their_own():
    """What training sees is a flipped patch with noise that two keys do not share."""
    one, two = (
        np.asarray(flip_and_prepare(jnp.asarray(PATCHES), jax.random.key(seed))) for seed in (0, 1)
    )
    assert (one != two).all(1).all()
    energies = [np.square(x).sum(1) + np.square(x.sum(1)) for x in (one, two)]  # of all 64 pixels
    np.testing.assert_allclose(*energies, rtol=0.02)
