# SPDX-License-Identifier: Apache-2.0
"""MNIST's own file format, plain or gzipped."""

import gzip
import math

import numpy as np

from jaxml.data.bounded import (
    MAX_BYTES,
    Path,
    Readable,
    check_expansion,
    check_finite,
    opened,
    read_exactly,
)
from jaxml.data.error import DataError

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_RANK = 8


def read_idx(path: Path, *, missing: bool = False, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of an idx file: two zero bytes, a dtype, a rank, big-endian extents, the values.

    A gzip stream is recognized by its first bytes. Y. LeCun, C. Cortes, C. Burges, The MNIST
    database of handwritten digits, section "The IDX file format".

    Args:
      path: The file.
      missing: Accept NaN as a missing value.
      max_bytes: Refuse files that hold or expand to more.

    Raises:
      DataError: If the file is damaged or its size is not the one that its header promises.
    """
    with opened(path, max_bytes) as (file, size):
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _read(file, path, size, max_bytes, zipped, missing)
        with gzip.GzipFile(fileobj=file, mode="rb") as expanded:
            return _read(expanded, path, size, max_bytes, zipped, missing)


def _read(
    file: Readable, path: Path, size: int, max_bytes: int, zipped: bool, missing: bool
) -> np.ndarray:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES:
        raise DataError(path, f"is not an idx file: it starts with {head.hex()}")
    dtype, rank = np.dtype(DTYPES[head[2]]), head[3]
    if not 1 <= rank <= MAX_RANK:
        raise DataError(path, f"has rank {rank}, expected 1 to {MAX_RANK}")
    extents = file.read(4 * rank)
    if len(extents) < 4 * rank:
        raise DataError(path, "is truncated in its header")
    shape = tuple(int(extent) for extent in np.frombuffer(extents, ">u4"))
    n_bytes, offset = math.prod(shape) * dtype.itemsize, 4 + 4 * rank
    if zipped:
        check_expansion(path, size, n_bytes, max_bytes)
    elif size - offset != n_bytes:
        state = "is truncated" if size - offset < n_bytes else "has trailing bytes"
        raise DataError(path, f"{state}: {list(shape)} needs {n_bytes} bytes, has {size - offset}")
    raw = read_exactly(file, n_bytes, path, "the array")
    array = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)
    check_finite(path, "the array", array, missing=missing)
    return array


__all__ = ["read_idx"]
