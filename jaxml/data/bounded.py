# SPDX-License-Identifier: Apache-2.0
"""Reading files that nobody vouches for: bounded bytes, bounded expansion, one kind of error."""

import csv
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np

from jaxml.data.error import DataError

Path = str | PathLike[str]


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes: a file, a member of an archive, something being expanded."""

    def read(self, n: int, /) -> bytes:
        """At most `n` bytes, none at the end."""
        ...


MAX_BYTES = 8 * 2**30
MAX_EXPANSION = 300  # deflate reaches 1032 on zeros; MNIST's labels and images stay below 10
FREE_EXPANSION = 64 * 2**20  # whatever expands to less is harmless
CHUNK = 2**20

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    MemoryError,
    NotImplementedError,  # zipfile: an unknown compression
    RuntimeError,  # zipfile: an encrypted member
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    csv.Error,
)


@contextmanager
def opened(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size; whatever a parser raises on damaged bytes becomes a DataError.

    Raises:
      DataError: If it is no readable regular file, exceeds `max_bytes`, or the body fails on it.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its writer
            raise DataError(path, "is not a regular file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise DataError(path, f"has {size} bytes, more than the limit of {max_bytes}")
            yield file, size
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(path, "does not exist") from None
    except OSError as error:
        raise DataError(path, error.strerror or str(error)) from None
    except DAMAGE as error:
        raise DataError(path, f"is damaged: {error or type(error).__name__}") from None


def read_exactly(file: Readable, n: int, path: Path, what: str) -> bytearray:
    """The next `n` bytes, which must also be the last; memory grows with bytes seen, not promised.

    Raises:
      DataError: If there are fewer or more.
    """
    found = bytearray()
    while len(found) < n and (chunk := file.read(min(CHUNK, n - len(found)))):
        found += chunk
    if len(found) < n:
        raise DataError(path, f"is truncated: {what} has {len(found)} of {n} bytes")
    if file.read(1):  # also reaches the checksum at the end of a compressed stream
        raise DataError(path, f"has trailing bytes: {what} should end after {n} bytes")
    return found


def check_expansion(path: Path, compressed: int, expanded: int, max_bytes: int) -> None:
    """Refuse, before anything is expanded, what would outgrow the limits.

    Raises:
      DataError: If the promised size exceeds `max_bytes` or a plausible rate of compression.
    """
    if expanded > max_bytes:
        raise DataError(path, f"expands to {expanded} bytes, more than the limit of {max_bytes}")
    if expanded > max(FREE_EXPANSION, MAX_EXPANSION * compressed):
        raise DataError(
            path, f"expands {compressed} bytes to {expanded}, more than {MAX_EXPANSION}-fold"
        )


def check_finite(path: Path, name: str, array: np.ndarray, *, missing: bool) -> None:
    """Refuse infinities, and NaN unless it stands for a missing value.

    Raises:
      DataError: Naming the first bad row.
    """
    if array.dtype.kind not in "fc" or array.size == 0:
        return
    rows = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    step = max(1, CHUNK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        bad = np.isinf(part) if missing else ~np.isfinite(part)
        if bad.any():
            row = start + int(bad.any(axis=1).argmax())
            value = rows[row][bad[row - start]][0]
            raise DataError(path, f"{name} holds {value} in row {row}")


__all__ = [
    "CHUNK",
    "DAMAGE",
    "MAX_BYTES",
    "Path",
    "Readable",
    "check_expansion",
    "check_finite",
    "opened",
    "read_exactly",
]
