# SPDX-License-Identifier: Apache-2.0
"""Images of whole numbers: what experiments learn from, hold out and are scored on."""

from typing import NamedTuple

import numpy as np

from jaxml.data import load, sha256
from jaxml.types import Array

NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}


class Images(NamedTuple):
    """Images of whole numbers, `(n, h, w, c)`.

    Attributes:
      train: to learn from.
      valid: held out.
      test: to be scored.
      protocol: for the evidence.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    protocol: dict[str, str | int]


def read(name: str, data_dir: str | None, n_test: int = 10_000) -> Images:
    """MNIST or Fashion-MNIST as bytes, the first of 10,000 images to test.

    Args:
      name: `mnist`, of which 50,000 images are to learn from and 5000 are held out, or
        `fashion_mnist` with 18,000 and 2000.
      data_dir: where it lies.
      n_test: images that are scored.

    Raises:
      DataError: if the file is missing, or not the pinned one.
    """
    train, valid, test = (part["x"] for part in load(name, data_dir))
    test = test[:n_test]
    split = "test" if len(test) == 10_000 else f"test, first {len(test)}"
    protocol: dict[str, str | int] = {"data": NAMES[name], "split": split}
    protocol["levels of intensity"] = 256
    return Images(train, valid, test, protocol | {"sha256": sha256(test.reshape(len(test), -1))})


def show(x: Array | np.ndarray, levels: int) -> np.ndarray:
    """Whole numbers as intensities in [0, 1], `(n, h, w)`, or `(n, h, w, 3)` in colour."""
    shown = np.asarray(x, np.float32) / (levels - 1)
    return shown[..., 0] if shown.shape[-1] == 1 else shown
