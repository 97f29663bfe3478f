# SPDX-License-Identifier: Apache-2.0
"""Scikit-learn's handwritten digits: the data set that is always at hand."""

import hashlib

import numpy as np

from jaxml.data.error import DataError
from jaxml.data.split import Splits, split

SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
N_VALID, N_TEST, SEED = 200, 297, 0


def digits() -> Splits:
    """1797 grey images of 8 x 8 pixels: `{"x": float32 (n, 8, 8, 1) in [0, 1], "y": int32 (n,)}`.

    Intensities are counts 0 to 16 divided by 16. The split is fixed: the rows in the keyed order of
    seed 0, of which 1300 train, 200 validate and 297 test. E. Alpaydin, C. Kaynak 1998, Optical
    Recognition of Handwritten Digits, UCI (CC BY 4.0); the copy is the one inside scikit-learn.

    Raises:
      DataError: If scikit-learn is not installed, or its copy is not the pinned one.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("digits", "needs scikit-learn: pip install 'jaxml[experiments]'") from None
    bunch = load_digits()
    count = np.asarray(bunch.images, np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    label = np.asarray(bunch.target, np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    found = hashlib.sha256(count.tobytes() + label.tobytes()).hexdigest()
    if found != SHA256:
        raise DataError("digits", f"has sha256 {found}, expected {SHA256}")
    image = count[..., None].astype(np.float32) / np.float32(16)
    return split({"x": image, "y": label.astype(np.int32)}, N_VALID, N_TEST, seed=SEED)


__all__ = ["digits"]
