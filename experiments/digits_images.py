# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's 8 x 8 digits as images of whole numbers; they come with the package."""

import numpy as np

from experiments.images import Images
from jaxml.data import digits, sha256

LEVELS = 17


def digits_images(n_test: int | None = None) -> Images:
    """Training, validation and test images, 0 to 16, and what their evidence is told of them.

    Args:
      n_test: test images that are kept, from the first; None keeps all 297.
    """
    parts = (np.rint(16 * part["x"]).astype(np.uint8).reshape(-1, 8, 8, 1) for part in digits())
    train, valid, whole = parts
    test = whole[:n_test]
    split = "test" if len(test) == len(whole) else f"test, first {len(test)}"
    protocol = {"data": "digits", "split": split, "levels": LEVELS, "sha256": sha256(test)}
    return Images(train, valid, test, protocol)
