# SPDX-License-Identifier: Apache-2.0
"""Public data sets by name, read from a directory of .npz files and pinned by sha256."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxml.data import layout
from jaxml.data.bounded import CHUNK, opened
from jaxml.data.error import DataError
from jaxml.data.npz import Layout, read_npz
from jaxml.data.split import Splits


class Source(NamedTuple):
    """Where a data set lies and how its arrays become examples.

    Attributes:
      file: The name of the file in the data directory.
      sha256: The sum of the whole file.
      expect: The arrays to read, with their dtypes and shapes.
      splits: From the arrays to train, valid and test.
    """

    file: str
    sha256: str
    expect: Mapping[str, Layout]
    splits: Callable[[dict[str, np.ndarray]], Splits]


def _labelled(*shape: int, dtype: str = "uint8") -> dict[str, Layout]:
    return {
        "x_train": (dtype, (None, *shape)),
        "y_train": ("uint8", (None,)),
        "x_test": (dtype, (None, *shape)),
        "y_test": ("uint8", (None,)),
    }


def _parted(name: str, dim: int) -> Source:
    expect: dict[str, Layout] = {
        f"{name}_{part}": ("uint8", (None, dim)) for part in ("train", "valid", "test")
    }
    return Source(
        "binary_density.npz",
        "346d26569f498e5b761de0b73a2782719a397ff0f20424816c5c0f974e20312f",
        expect,
        lambda arrays: layout.parted(arrays, f"{name}_"),
    )


def _indexed(name: str, dim: int) -> Source:
    expect: dict[str, Layout] = {f"{name}_x": ("float64", (None, dim))}
    expect |= {f"{name}_{part}": ("int64", (None,)) for part in ("train", "valid", "test")}
    return Source(
        "uci_rnade.npz",
        "8c3a072aee71df72f8879f79385e862e2afd44fba2047b1ced7d90515c2ce8a2",
        expect,
        lambda arrays: layout.indexed(arrays, f"{name}_"),
    )


SOURCES: dict[str, Source] = {
    "mnist": Source(
        "mnist.npz",
        "24f10eaf0032b1b5e4970047fc30b508ef338edb54a809de6ce627c64920d625",
        _labelled(28, 28),
        lambda arrays: layout.labelled(arrays, n_valid=5000),
    ),
    "fashion_mnist": Source(
        "fashion_mnist.npz",
        "85cc4e3a7edcf7da06bfc8437d4fc0831f9cf035c115eb538f5318dc995a22af",
        _labelled(28, 28),
        lambda arrays: layout.labelled(arrays, n_valid=2000),
    ),
    "cifar10": Source(
        "cifar10_8k.npz",
        "971087e214bcf2be39edb05dbb72faacdf22e8090c04d40fde87a0d4e5f26944",
        _labelled(32, 32, 3),
        lambda arrays: layout.labelled(arrays, n_valid=500),
    ),
    "mnist1d": Source(
        "mnist1d.npz",
        "40c7145c38077f29eda0421c01ae39d4f1e7b141aa6ac31b09f1fea84679b293",
        _labelled(40, dtype="float32"),
        lambda arrays: layout.labelled(arrays, n_valid=400),
    ),
    "frey_faces": Source(
        "frey_faces.npz",
        "b31ddb973f41a99244168000379cc79c3f1e4402c3604814fe3699002931659b",
        {"x": ("uint8", (None, 28, 20))},
        layout.frey_faces,
    ),
    "omniglot": Source(
        "omniglot_small.npz",
        "58e205821d60ca0ea7f071f726a72b67e0388cfdbc5c69c3f13e2f5df23ac013",
        {
            "x28": ("uint8", (None, 28, 28)),
            "alphabet": ("uint8", (None,)),
            "character": ("int16", (None,)),
            "drawer": ("uint8", (None,)),
        },
        layout.omniglot,
    ),
    "bsds300": Source(
        "bsds300_patches.npz",
        "9ac873bff0d85fd4fe56e1d8efe5d7341cd5516b37449d181487cc986696f2fc",
        dict.fromkeys(("train", "valid", "test"), ("uint8", (None, 64))),
        layout.parted,
    ),
    "red_wine": _indexed("red_wine", 11),
    "white_wine": _indexed("white_wine", 11),
    "ionosphere": _indexed("ionosphere", 32),
    "nltcs": _parted("nltcs", 16),
    "plants": _parted("plants", 69),
    "baudio": _parted("baudio", 100),
    "mushrooms": _parted("mushrooms", 112),
    "dna": _parted("dna", 180),
    "nips": _parted("nips", 500),
    "jsb_chorales": Source(
        "jsb_chorales_quarter.npz",
        "4a6eba558487fdcae8d1e22b587936242057e0a974e5846b54b1431cf93c55fe",
        {
            f"{part}_{name}": shape
            for part in ("train", "valid", "test")
            for name, shape in (("roll", ("uint8", (None, 88))), ("len", ("int64", (None,))))
        },
        layout.jsb_chorales,
    ),
    "old_faithful": Source(
        "old_faithful.npz",
        "f0991ba7ccaf2668ea88b6d4f55bd7516458cc6cbce0adc6af6c4113fe8d2e6b",
        {"x": ("float64", (None, 2))},
        layout.whole,
    ),
    "tinyshakespeare": Source(
        "tinyshakespeare.npz",
        "04e7d9cbe5075d7f3bcda10c5473b6aaf93e455d717b51b0c52196b6d19a5903",
        {"text": ("uint8", (None,))},
        layout.text,
    ),
}
"""The data sets by name. None ships with this package: licences differ, and each is its owner's."""


def directory(data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The directory of the data sets: the argument, or else the variable JAXML_DATA_DIR.

    Raises:
      DataError: If neither is given or it is no directory.
    """
    found = data_dir if data_dir is not None else os.environ.get("JAXML_DATA_DIR")
    if not found:
        raise DataError("data directory", "is not given: set --data-dir or JAXML_DATA_DIR")
    path = Path(found).expanduser()
    if not path.is_dir():
        raise DataError(path, "is not a directory")
    return path


def load(
    name: str, data_dir: str | os.PathLike[str] | None = None, *, verify: bool = True
) -> Splits:
    """The train, valid and test sets of a named data set, as pytrees of host arrays.

    Images are uint8 with a channel axis, `{"x": (n, height, width, channels), "y": (n,)}`; cast and
    scale them inside the loop, where they take a quarter of the memory of float32.

    Args:
      name: A key of `SOURCES`.
      data_dir: See `directory`.
      verify: Refuse a file whose sha256 is not the pinned one.

    Raises:
      DataError: If the name is unknown, or the file is missing, damaged or another one.
    """
    if name not in SOURCES:
        raise DataError(name, f"is no data set; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    path = directory(data_dir) / source.file
    if verify:
        check_sha256(path, source.sha256)
    arrays = read_npz(path, source.expect)
    try:
        return source.splits(arrays)
    except (ValueError, IndexError) as error:
        raise DataError(path, str(error)) from None


def check_sha256(path: str | os.PathLike[str], expected: str) -> None:
    """Refuse a file whose bytes are not the pinned ones.

    Raises:
      DataError: If the sums differ.
    """
    found = hashlib.sha256()
    with opened(path) as (file, _):
        while chunk := file.read(CHUNK):
            found.update(chunk)
    if found.hexdigest() != expected:
        raise DataError(path, f"has sha256 {found.hexdigest()}, expected {expected}")


__all__ = ["SOURCES", "Source", "check_sha256", "directory", "load"]
