# SPDX-License-Identifier: Apache-2.0
"""Binarized MNIST: a pixel of intensity v is 1 with probability v/255.

Dynamic binarization draws the training pixels anew at every step; static binarization draws them
once, from a seed that never changes. Validation and test pixels are always drawn once. The two
training protocols differ by about two nats, so the evidence of a run says which one it followed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.data import in_memory, load, mapped, sha256
from jaxml.types import Array, Batches, Key

STATIC_SEED = 0


class BinarizedMnist(NamedTuple):
    """What an experiment needs of the data.

    Attributes:
      batches: of training images, `(batch, *shape)` of zeros and ones.
      valid: 5000 images, drawn once.
      test: the first images of the canonical test split, drawn once.
      protocol: for the evidence.
    """

    batches: Batches
    valid: np.ndarray
    test: np.ndarray
    protocol: dict[str, str]


def binarize(batch: Array, key: Key) -> Array:
    """x ~ Bernoulli(v/255) for bytes v: P(level < v) with level uniform on 0, ..., 254."""
    level = jax.random.randint(key, batch.shape, 0, 255, jnp.uint8)
    return (level < batch).astype(jnp.float32)


def binarized_mnist(
    data_dir: str | None,
    shape: tuple[int, ...],
    batch_size: int,
    key: Key,
    *,
    n_test: int = 10_000,
    static: bool = False,
) -> BinarizedMnist:
    """Binarized MNIST from `mnist.npz`: 50 000 training images, 5000 to validate, 10 000 to test.

    Args:
      data_dir: where the file lies; the environment's JAXML_DATA_DIR if None.
      shape: of one image as the model sees it: (784,) or (28, 28, 1).
      batch_size: examples a step.
      key: the order of the examples and the noise of dynamic binarization.
      n_test: how many test images, from the first.
      static: whether the training images too are drawn once.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    train, valid, test = (part["x"].reshape(-1, *shape) for part in load("mnist", data_dir))
    fixed = jax.random.split(jax.random.key(STATIC_SEED), 3)
    test = np.asarray(binarize(jnp.asarray(test[:n_test]), fixed[0]))
    valid = np.asarray(binarize(jnp.asarray(valid), fixed[1]))
    order_key, noise_key = jax.random.split(key)
    if static:
        train = np.asarray(binarize(jnp.asarray(train), fixed[2]))
    batches = in_memory(train, batch_size, order_key)
    if not static:
        batches = mapped(batches, binarize, noise_key)
    protocol = {
        "data": "MNIST",
        "split": "test" if len(test) == 10_000 else f"test, first {len(test)}",
        "training binarization": "static" if static else "dynamic",
        "test binarization": f"drawn once, seed {STATIC_SEED}",
        "sha256": sha256(test.reshape(len(test), -1)),
    }
    return BinarizedMnist(batches, valid, test, protocol)
