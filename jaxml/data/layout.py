# SPDX-License-Identifier: Apache-2.0
"""From the arrays of a published file to its train, valid and test examples."""

import numpy as np

from jaxml.data.batches import n_examples
from jaxml.data.split import Splits, split

Arrays = dict[str, np.ndarray]


def labelled(arrays: Arrays, n_valid: int) -> Splits:
    """`x_train, y_train, x_test, y_test`; the last `n_valid` training rows validate."""
    train = _example(arrays["x_train"], arrays["y_train"])
    test = _example(arrays["x_test"], arrays["y_test"])
    n_examples(test)
    return Splits(*split(train, n_valid, 0)[:2], test)


def parted(arrays: Arrays, prefix: str = "") -> Splits:
    """`train, valid, test` as published, under a prefix."""
    return Splits(*({"x": arrays[f"{prefix}{part}"]} for part in Splits._fields))


def indexed(arrays: Arrays, prefix: str = "") -> Splits:
    """`x` with the row numbers `train, valid, test` as published, under a prefix."""
    rows = [arrays[f"{prefix}{part}"] for part in Splits._fields]
    every = np.concatenate(rows)
    n = len(arrays[f"{prefix}x"])
    if len(np.unique(every)) < len(every) or every.min() < 0 or every.max() >= n:
        raise ValueError(f"{prefix}train, valid and test are not disjoint rows of {n}")
    return Splits(*({"x": arrays[f"{prefix}x"][part]} for part in rows))


def whole(arrays: Arrays) -> Splits:
    """`x` without a published split: all of it trains, and the other parts are empty."""
    x = arrays["x"]
    return Splits({"x": x}, {"x": x[:0]}, {"x": x[:0]})


def frey_faces(arrays: Arrays) -> Splits:
    """1565 / 200 / 200 shuffled frames, since neighbours of a video are nearly equal.

    The sizes are those of Tomczak & Welling 2018 (arXiv:1705.07120), the order is ours.
    """
    return split({"x": arrays["x"][..., None]}, 200, 200, seed=0)


def omniglot(arrays: Arrays) -> Splits:
    """Every character by 20 drawers: 14 train, drawers 14 and 15 validate, 16 to 19 test."""
    names = ("alphabet", "character", "drawer")
    example = _example(arrays["x28"], **{name: arrays[name] for name in names})
    drawer = arrays["drawer"]
    parts = (drawer < 14, (drawer >= 14) & (drawer < 16), drawer >= 16)
    return Splits(*({name: x[part] for name, x in example.items()} for part in parts))


def jsb_chorales(arrays: Arrays) -> Splits:
    """Pieces filled up with silence to the longest of their part: x (n, time, 88), length (n,)."""
    parts = []
    for part in Splits._fields:
        roll, length = arrays[f"{part}_roll"], arrays[f"{part}_len"]
        if length.size == 0 or length.min() < 1 or length.sum() != len(roll):
            raise ValueError(f"{part}_len does not add up to the rows of {part}_roll")
        x = np.zeros((len(length), length.max(), roll.shape[1]), roll.dtype)
        x[np.arange(length.max()) < length[:, None]] = roll
        parts.append({"x": x, "length": length.astype(np.int32)})
    return Splits(*parts)


def text(arrays: Arrays) -> Splits:
    """One text in bytes: the first 90 % train, the rest validates."""
    x = arrays["text"]
    cut = len(x) * 9 // 10
    return Splits({"x": x[:cut]}, {"x": x[cut:]}, {"x": x[:0]})


def _example(x: np.ndarray, y: np.ndarray | None = None, **others: np.ndarray) -> Arrays:
    """Images of rank 3 get a channel axis; labels become int32."""
    example = {"x": x[..., None] if x.ndim == 3 else x}
    example |= {name: value.astype(np.int32) for name, value in others.items()}
    if y is not None:
        example["y"] = y.astype(np.int32)
    n_examples(example)
    return example


__all__ = [
    "frey_faces",
    "indexed",
    "jsb_chorales",
    "labelled",
    "omniglot",
    "parted",
    "text",
    "whole",
]
