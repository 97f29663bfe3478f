# SPDX-License-Identifier: Apache-2.0
"""A seal over a directory: the sha256 of every file, and the sha256 of that list.

Both files read as `sha256sum -c` expects them. The seal detects accidents. It lies beside the data,
so whoever can rewrite the data can renew it: it is no defence against an attacker.
"""

import hashlib
import os
import re
from pathlib import Path

from jaxml.training.storage.directory import CheckpointError, reason, sync

MANIFEST = "manifest.sha256"
SEAL = "manifest.sha256.seal"
LINE = re.compile(r"([0-9a-f]{64})  ([^\n\\]+)")


class DamagedError(CheckpointError):
    """A sealed directory is no longer, byte for byte, what was sealed."""


def write(root: Path) -> None:
    """Hash and synchronize every file below `root`, write the manifest and its seal beside them.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if there is a symbolic link or a special file, or a name holds a line break.
    """
    lines = []
    for name in _files(root):
        lines.append(f"{_sha256(root / name, synchronize=True)}  {name}\n")
        if not LINE.fullmatch(lines[-1][:-1]):
            raise ValueError(f"file name {name!r} cannot stand in a manifest")
    manifest = "".join(lines).encode()
    _create(root / MANIFEST, manifest)
    _create(root / SEAL, _seal(manifest))
    for directory, _, _ in os.walk(root, topdown=False):
        sync(directory)


def check(root: Path) -> None:
    """Return if every byte below `root` is what was sealed.

    Raises:
      DamagedError: naming the first file that is missing, added, changed or no plain file.
      CheckpointError: if a file may not be read.
    """
    if root.is_symlink() or not root.is_dir():
        raise DamagedError(root, "is not a directory of its own")
    path = root / SEAL
    try:
        seal = path.read_bytes()
        path = root / MANIFEST
        manifest = path.read_bytes()
        if seal != _seal(manifest):
            raise DamagedError(path, f"does not match its seal {SEAL}")
        sealed = _parse(path, manifest)
        present = set(_files(root)) - {MANIFEST, SEAL}
        for name in sorted(sealed.keys() ^ present):
            raise DamagedError(root / name, "is not listed" if name in present else "is missing")
        for name, expected in sealed.items():
            path = root / name
            if _sha256(path) != expected:
                raise DamagedError(path, "its bytes differ from the manifest (sha256)")
    except PermissionError as error:
        raise CheckpointError(path, f"cannot be read: {reason(error)}") from error
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise DamagedError(root, reason(error)) from error


def _files(root: Path) -> list[str]:
    """Every file below `root`, relative and sorted; a link or a special file is refused."""
    found, pending = [], [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.append(Path(entry.path).relative_to(root).as_posix())
                else:
                    name = Path(entry.path).relative_to(root)
                    raise ValueError(f"{name} is a symbolic link or a special file")
    return sorted(found)


def _parse(path: Path, manifest: bytes) -> dict[str, str]:
    """Path to sha256. Only paths that `_files` finds too are opened, so none can lead outside."""
    sealed = {}
    for line in manifest.decode("utf-8", "replace").splitlines():
        match = LINE.fullmatch(line)
        if match is None or match[2] in sealed:
            raise DamagedError(path, "is not a list of sha256 and path")
        sealed[match[2]] = match[1]
    return sealed


def _sha256(path: Path, *, synchronize: bool = False) -> str:
    # O_NOFOLLOW: a file exchanged for a link since the listing is an error and is not followed.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        if synchronize:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(manifest: bytes) -> bytes:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def _create(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


__all__ = ["DamagedError", "check", "write"]
