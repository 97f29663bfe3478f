# SPDX-License-Identifier: Apache-2.0
"""NumPy's array files: a header that is matched, not evaluated, and a payload of its size."""

import math
import re
from typing import NamedTuple

import numpy as np

from jaxml.data.bounded import MAX_BYTES, Path, Readable, check_finite, opened, read_exactly
from jaxml.data.error import DataError

MAX_HEADER = 10_000  # NumPy's own limit

_DESCR = re.compile(r"'descr'\s*:\s*'([<>|=]?[biufcUS]\d{1,6})'")
_ORDER = re.compile(r"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(r"'shape'\s*:\s*\(([^()]*)\)")


class Header(NamedTuple):
    """What a .npy header promises.

    Attributes:
      dtype: A plain numeric, boolean or fixed-width text dtype.
      shape: The shape.
      fortran: Whether the first axis varies fastest.
      offset: The number of bytes before the payload.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        """The size of the payload."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: Path, *, missing: bool = False, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of a .npy file (format of NumPy enhancement proposal 1, versions 1 to 3).

    Args:
      path: The file.
      missing: Accept NaN as a missing value.
      max_bytes: Refuse larger files.

    Raises:
      DataError: If the file is not a well-formed array of numbers.
    """
    with opened(path, max_bytes) as (file, size):
        header = read_header(file, path)
        check_size(header, size, path, "the array")
        return read_payload(file, header, path, "the array", missing=missing)


def read_header(file: Readable, path: Path) -> Header:
    """Parse a header without evaluating it as Python, and leave the file at the payload.

    Raises:
      DataError: If it is malformed, or promises objects, records or negative sizes.
    """
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise DataError(path, "is not a .npy array: wrong magic string or version")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > MAX_HEADER:
        raise DataError(path, f"has a header of {length} bytes, more than {MAX_HEADER}")
    raw = file.read(length)
    if len(raw) < length:
        raise DataError(path, "is truncated in its header")
    text = raw.decode("latin1")
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if not descr or not order or not shape:
        raise DataError(path, f"does not hold a plain array of numbers: {text.strip()[:100]}")
    sizes = [size.strip() for size in shape[1].split(",") if size.strip()]
    if len(sizes) > 32 or not all(re.fullmatch(r"\d{1,18}L?", size) for size in sizes):
        raise DataError(path, f"has an impossible shape: ({shape[1][:100]})")
    try:
        dtype = np.dtype(descr[1])
    except TypeError:
        raise DataError(path, f"has an unknown dtype: {descr[1]}") from None
    if dtype.itemsize == 0:
        raise DataError(path, f"has a dtype without bytes: {descr[1]}")
    extents = tuple(int(size.rstrip("L")) for size in sizes)
    return Header(dtype, extents, order[1] == "True", 8 + width + length)


def check_size(header: Header, size: int, path: Path, what: str) -> None:
    """Refuse a file whose size differs from what its header promises, before reading on.

    Raises:
      DataError: If the sizes differ.
    """
    payload = size - header.offset
    if payload != header.n_bytes:
        state = "is truncated" if payload < header.n_bytes else "has trailing bytes"
        raise DataError(path, f"{state}: {what} needs {header.n_bytes} bytes, has {payload}")


def read_payload(
    file: Readable, header: Header, path: Path, what: str, *, missing: bool
) -> np.ndarray:
    """The array after its header, in the byte order of this machine.

    Raises:
      DataError: If bytes are missing or values are no numbers.
    """
    raw = read_exactly(file, header.n_bytes, path, what)
    array = np.frombuffer(raw, header.dtype)
    if header.dtype.kind == "b" and (np.frombuffer(raw, np.uint8) > 1).any():
        raise DataError(path, f"{what} holds booleans that are neither 0 nor 1")
    if header.dtype.kind == "U":
        points = np.frombuffer(raw, np.uint32 if header.dtype.isnative else ">u4")
        if (points > 0x10FFFF).any():
            raise DataError(path, f"{what} holds text that is not Unicode")
    array = array.astype(header.dtype.newbyteorder("="), copy=False)
    array = array.reshape(header.shape, order="F" if header.fortran else "C")
    check_finite(path, what, array, missing=missing)
    return array


__all__ = ["Header", "check_size", "read_header", "read_npy", "read_payload"]
