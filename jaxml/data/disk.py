# SPDX-License-Identifier: Apache-2.0
"""Arrays that stay on disk: mapped into memory row by row, whatever their size."""

import hashlib
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path as File
from typing import BinaryIO

import numpy as np

from jaxml.data.bounded import CHUNK, Path, Readable, check_expansion, opened
from jaxml.data.error import DataError
from jaxml.data.npy import check_size, read_header

N_BLOCKS = 1024  # of 1 MiB: files below 1 GiB are hashed entirely


@dataclass(frozen=True)
class OnDisk:
    """Where the values of an array lie in a file; a leaf of a pytree, and picklable.

    Attributes:
      path: The file.
      offset: The first byte of the values.
      dtype: As NumPy writes it, byte order included.
      shape: The leading axis counts the examples.
      fortran: Whether the first axis varies fastest.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    fortran: bool

    def map(self) -> np.ndarray:
        """The array, read from disk where it is touched.

        Raises:
          DataError: If the file has gone or shrunk.
        """
        order = "F" if self.fortran else "C"
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:
            raise DataError(self.path, f"can no longer be mapped: {error}") from None

    @property
    def n_bytes(self) -> int:
        """The size of the values."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def sha256(self) -> str:
        """The sha256 of the values, or above 1 GiB of 1024 evenly spaced blocks of 1 MiB."""
        found = hashlib.sha256()
        for block in self.blocks():
            found.update(block)
        return found.hexdigest()

    def blocks(self):
        """The bytes that stand for the values in a fingerprint."""
        with opened(self.path, 2**63) as (file, _):
            for start in block_starts(self.n_bytes):
                file.seek(self.offset + start)
                yield file.read(min(CHUNK, self.n_bytes - start))


def block_starts(n_bytes: int) -> list[int]:
    """Where the hashed blocks begin: all of them, or the first, the last and evenly between."""
    if n_bytes <= N_BLOCKS * CHUNK:
        return list(range(0, n_bytes, CHUNK))
    last = n_bytes - CHUNK
    return [last * i // (N_BLOCKS - 1) for i in range(N_BLOCKS)]


def on_disk(path: Path, member: str | None = None) -> OnDisk:
    """The array of a .npy file, or an uncompressed member of an .npz archive (`numpy.savez`).

    Args:
      path: The file.
      member: The name of the array in an archive.

    Raises:
      DataError: If the file is damaged, the array holds no numbers or has no leading axis, or the
        member is missing or compressed (see `extract`).
    """
    with opened(path, 2**63) as (file, size):
        start = 0
        if member is not None:
            start, size = _stored(file, path, member)
        file.seek(start)
        header = read_header(file, path)
        check_size(header, size, path, member or "the array")
    if not header.shape:
        raise DataError(path, "has no leading axis of examples")
    if header.dtype.kind not in "biuf":
        raise DataError(path, f"holds {header.dtype}, expected real numbers")
    where = os.path.abspath(path)
    return OnDisk(where, start + header.offset, header.dtype.str, header.shape, header.fortran)


def extract(path: Path, member: str, target: Path, *, max_bytes: int = 2**40) -> OnDisk:
    """Expand a compressed member of an .npz archive into a .npy file, chunk by chunk.

    The target appears complete or not at all.

    Raises:
      DataError: If the archive is damaged, has no such member or expands beyond `max_bytes`, or the
        target exists or cannot be written.
    """
    target = File(target)
    if target.exists():
        raise DataError(target, "exists already")
    with opened(path, 2**63) as (file, _), zipfile.ZipFile(file) as archive:
        info = _member(archive, path, member)
        check_expansion(path, info.compress_size, info.file_size, max_bytes)
        with archive.open(info) as source:
            check_size(read_header(source, path), info.file_size, path, member)
        with archive.open(info) as source:
            _write(source, target)
    return on_disk(target)


def _write(source: Readable, target: File) -> None:
    """Copy a stream into a new file that appears whole or not at all."""
    draft = None
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as sink:
            while chunk := source.read(CHUNK):
                sink.write(chunk)
            sink.flush()
            os.fsync(sink.fileno())
        os.link(draft, target)  # unlike a rename, never replaces a file
    except OSError as error:
        raise DataError(target, f"cannot be written: {error.strerror or error}") from None
    finally:
        if draft is not None:
            os.unlink(draft)


def _member(archive: zipfile.ZipFile, path: Path, member: str) -> zipfile.ZipInfo:
    names = archive.namelist()
    for name in (f"{member}.npy", member):
        if name in names:
            return archive.getinfo(name)
    raise DataError(path, f"has no array {member!r}; it has {', '.join(names)}"[:300])


def _stored(file: BinaryIO, path: Path, member: str) -> tuple[int, int]:
    """Where the bytes of an uncompressed member begin, and how many there are."""
    with zipfile.ZipFile(file) as archive:
        info = _member(archive, path, member)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise DataError(path, f"{member} is compressed: extract it to a .npy file first")
    file.seek(info.header_offset)
    local = file.read(30)
    if local[:4] != b"PK\3\4":
        raise DataError(path, f"is damaged: {member} has no local header")
    name, extra = (int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
    start = info.header_offset + 30 + name + extra
    if start + info.file_size > os.fstat(file.fileno()).st_size:
        raise DataError(path, f"is truncated: {member} ends beyond the file")
    return start, info.file_size


__all__ = ["OnDisk", "block_starts", "extract", "on_disk"]
