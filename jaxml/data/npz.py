# SPDX-License-Identifier: Apache-2.0
"""NumPy's archives of named arrays, checked against their own directory before they expand."""

import zipfile
from collections.abc import Mapping

import numpy as np

from jaxml.data.bounded import MAX_BYTES, Path, check_expansion, opened
from jaxml.data.error import DataError
from jaxml.data.npy import Header, check_size, read_header, read_payload

MAX_MEMBERS = 10_000

Layout = tuple[str, tuple[int | None, ...]]
"""A dtype and a shape, where None stands for any extent: `("uint8", (None, 28, 28))`."""


def read_npz(
    path: Path,
    expect: Mapping[str, Layout | None] | None = None,
    *,
    missing: bool = False,
    max_bytes: int = MAX_BYTES,
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, never unpickled.

    Args:
      path: The file, compressed or not.
      expect: The names to read, each with its layout or None for any; the rest is not read. Without
        it, everything is read.
      missing: Accept NaN as a missing value.
      max_bytes: Refuse archives that expand to more.

    Raises:
      DataError: If the archive is damaged, a name is missing, a layout differs, or it holds
        anything but plain arrays of numbers and fixed-width text.
    """
    with opened(path, max_bytes) as (file, size), zipfile.ZipFile(file) as archive:
        members = _members(archive, path, size, max_bytes)
        names = members if expect is None else expect
        found = {}
        for name in names:
            if name not in members:
                raise DataError(path, f"has no array {name!r}; it has {', '.join(members)}"[:300])
            layout = expect[name] if expect else None
            found[name] = _read(archive, members[name], path, name, layout, missing)
        return found


def _members(
    archive: zipfile.ZipFile, path: Path, size: int, max_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """The directory of the archive, once its sizes are plausible."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise DataError(path, f"has {len(members)} members, more than {MAX_MEMBERS}")
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names):
        raise DataError(path, "has two members of one name")
    # Overlapping members would expand the same bytes many times.
    if sum(member.compress_size for member in members) > size:
        raise DataError(path, "has members that exceed the file")
    check_expansion(path, size, sum(member.file_size for member in members), max_bytes)
    return dict(zip(names, members, strict=True))


def _read(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    path: Path,
    name: str,
    layout: Layout | None,
    missing: bool,
) -> np.ndarray:
    with archive.open(member) as file:
        try:
            header = read_header(file, path)
        except DataError as error:
            raise DataError(path, f"{name} {error.reason}") from None
        if layout is not None:
            check_layout(header, layout, path, name)
        check_size(header, member.file_size, path, name)
        return read_payload(file, header, path, name, missing=missing)


def check_layout(header: Header, layout: Layout, path: Path, name: str) -> None:
    """Refuse an array of another dtype or shape than expected.

    Raises:
      DataError: If they differ.
    """
    dtype, shape = layout
    fits = len(shape) == len(header.shape) and all(
        want in (None, have) for want, have in zip(shape, header.shape, strict=True)
    )
    if header.dtype.newbyteorder("=") != np.dtype(dtype) or not fits:
        extents = ", ".join("any" if want is None else str(want) for want in shape)
        raise DataError(
            path,
            f"{name} is {header.dtype}{list(header.shape)}, expected {dtype}[{extents}]",
        )


__all__ = ["Layout", "check_layout", "read_npz"]
