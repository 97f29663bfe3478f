# SPDX-License-Identifier: Apache-2.0
"""BSDS300: patches of 8 x 8 grey pixels as vectors of 63 real numbers.

The preprocessing of Uria, Murray and Larochelle 2013 (arXiv:1306.0186): (x + u)/256
with u uniform in [0, 1), the patch's mean subtracted, the last pixel dropped, since it is minus the
sum of the others. Noise is drawn anew at every training step, and once for validation and test.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.bijections import dequantize, uniform_noise
from jaxml.data import in_memory, load, mapped, sha256
from jaxml.types import Array, Batches, Key

DIM = 63
NOISE_SEED = 0


class Patches(NamedTuple):
    """What an experiment needs of the data.

    Attributes:
      batches: of training patches, `(batch, 63)`.
      whitening: W with W Σ Wᵀ = I for the covariance Σ of the training patches.
      valid: dequantized once.
      test: dequantized once.
      protocol: for the evidence.
    """

    batches: Batches
    whitening: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    protocol: dict[str, str]


def flip(batch: Array, key: Key) -> Array:
    """Each patch `(n, 64)` turned upside down, mirrored, both or neither, at random."""
    patches = batch.reshape(-1, 8, 8)
    up, side = jax.random.bernoulli(key, 0.5, (2, len(batch), 1, 1))
    patches = jnp.where(up, patches[:, ::-1], patches)
    return jnp.where(side, patches[:, :, ::-1], patches).reshape(batch.shape)


def flip_and_prepare(batch: Array, key: Key) -> Array:
    """What training sees: `prepare` of flipped patches."""
    flip_key, noise_key = jax.random.split(key)
    return prepare(flip(batch, flip_key), noise_key)


def prepare(batch: Array, key: Key) -> Array:
    """Bytes `(n, 64)` as real numbers `(n, 63)` with fresh noise."""
    x, _ = dequantize(batch, uniform_noise(batch, key), 256)
    return (x - x.mean(-1, keepdims=True))[:, :DIM]


def patches(
    data_dir: str | None, batch_size: int, key: Key, *, n_test: int, flips: bool = True
) -> Patches:
    """The patches of `bsds300_patches.npz`: 99,000 to train, 10,000 to validate, 30,000 to test.

    Args:
      data_dir: where the file lies; the environment's JAXML_DATA_DIR if None.
      batch_size: examples a step.
      key: the order of the examples and the noise of training.
      n_test: how many test patches, from the first.
      flips: whether training patches are flipped at random: 99,000 are few.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    train, valid, test = (part["x"] for part in load("bsds300", data_dir))
    fixed = jax.random.split(jax.random.key(NOISE_SEED), 3)
    valid, test, once = (
        np.asarray(prepare(jnp.asarray(part), own))
        for part, own in zip((valid, test[:n_test], train), fixed, strict=True)
    )
    values, vectors = np.linalg.eigh(np.cov(once.T.astype(np.float64)))
    whitening = (vectors / np.sqrt(values)).T
    order_key, noise_key = jax.random.split(key)
    protocol = {
        "data": "BSDS300 patches",
        "split": "test" if len(test) == 30_000 else f"test, first {len(test)}",
        "dequantization": "uniform, 256 levels",
        "training patches": f"{len(train)}{', flipped at random' if flips else ''}",
        "sha256": sha256(test),
    }
    batches = mapped(
        in_memory(train, batch_size, order_key), flip_and_prepare if flips else prepare, noise_key
    )
    return Patches(batches, whitening, valid, test, protocol)


def show(x: Array | np.ndarray) -> np.ndarray:
    """Vectors as images `(n, 8, 8)` in [0, 1], around a mean grey."""
    x = np.asarray(x)
    whole = np.concatenate([x, -x.sum(-1, keepdims=True)], -1)
    return np.clip(0.5 + whole.reshape(-1, 8, 8), 0, 1)
