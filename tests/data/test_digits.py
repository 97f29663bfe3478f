# SPDX-License-Identifier: Apache-2.0
"""The embedded digits: the bytes that scikit-learn ships, in a split that never moves."""

import hashlib
import sys

import numpy as np
import pytest

from jaxml.data.digits import digits
from jaxml.data.error import DataError


def test_parts_are_disjoint_and_together_the_whole_set():
    """As multisets of (image, label): train + valid + test = scikit-learn's 1797 rows."""
    from sklearn.datasets import load_digits

    splits = digits()
    assert [len(part["y"]) for part in splits] == [1300, 200, 297]
    rows = [
        (*image.ravel(), label)
        for part in splits
        for image, label in zip(part["x"], part["y"], strict=True)
    ]
    raw = load_digits()
    expected = [
        (*(image.ravel() / 16).tolist(), label)
        for image, label in zip(raw.images, raw.target, strict=True)
    ]
    assert sorted(rows) == sorted(expected)


def test_images_are_float32_in_the_unit_interval():
    for part in digits():
        assert part["x"].dtype == np.float32
        assert part["x"].shape[1:] == (8, 8, 1)
        assert part["x"].min() == 0.0
        assert part["x"].max() == 1.0
        assert set(part["y"]) == set(range(10))
        assert part["y"].dtype == np.int32


def test_the_split_never_moves():
    """A reported number refers to these very test rows."""
    test = digits().test
    found = hashlib.sha256(test["x"].tobytes() + test["y"].tobytes()).hexdigest()
    assert found == "2215e086add714d9b9608df25a8ecae484e8d38dedc4ec9f746665aefd19baef"


def test_another_copy_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["jaxml.data.digits"], "SHA256", "0" * 64)
    with pytest.raises(DataError, match="digits: has sha256"):
        digits()
