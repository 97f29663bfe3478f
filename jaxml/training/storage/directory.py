# SPDX-License-Identifier: Apache-2.0
"""Directories of a run: their names, their checks before the first byte, their one error."""

import os
import re
import secrets
from os import PathLike
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TEMPORARY = re.compile(r"\..{1,64}\.[0-9a-f]{16}\.tmp")


class CheckpointError(RuntimeError):
    """Storage refused or failed (exit code 4 at the command line); the message is one line.

    The message begins with the path at fault and, where a checkpoint is at fault, names its step.
    """

    def __init__(self, path: str | PathLike[str], reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(one_line(f"{self.path}: {reason}"))


def one_line(text: str, limit: int = 2000) -> str:
    """The text with control characters escaped and at most `limit` characters long.

    A file name may hold a line break or a terminal's escape sequence; neither reaches the user.
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def check_name(name: str) -> str:
    """The name itself if it may name a run, an experiment or a tag.

    Raises:
      CheckpointError: if it is no match of `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`.
    """
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 40 else f"{name[:40]}... ({len(name)} characters)"
        raise CheckpointError(
            shown or "''",
            "expected a name of at most 100 letters, digits, '.', '_' or '-' that begins with a "
            "letter or a digit",
        )
    return name


def prepare(path: str | PathLike[str]) -> Path:
    """The absolute path of a directory that exists and accepts files, made if its parent exists.

    Only the last component is made: a misspelt parent is an error and no new tree.

    Raises:
      CheckpointError: if the name is refused, the parent is missing, the path is a file or a
        dangling symbolic link, or the file system refuses a directory or a file there.
    """
    place = Path(os.path.abspath(path))
    check_name(place.name)
    try:
        if place.is_symlink() and not place.exists():
            raise CheckpointError(place, f"is a symbolic link to nothing ({os.readlink(place)})")
        if not place.exists():
            if not place.parent.is_dir():
                raise CheckpointError(place, f"the parent directory {place.parent} does not exist")
            place.mkdir(exist_ok=True)  # two runs may start together; the lock chooses
            sync(place.parent)
        if not place.is_dir():
            raise CheckpointError(place, "is a file, expected a directory")
        _probe(place)
    except OSError as error:
        raise CheckpointError(place, f"cannot be used as a directory: {reason(error)}") from error
    return place


def _probe(place: Path) -> None:
    """Make and remove a file: permissions, quotas and read-only mounts are only known by trying."""
    probe = temporary(place / "probe")
    os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    probe.unlink()


def temporary(target: Path) -> Path:
    """A free name beside `target` for a file on its way to become `target`, or to vanish."""
    return target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.tmp")


def clean(place: Path) -> None:
    """Remove the temporary files that a killed process left; only the holder of the run's lock may.

    Raises:
      CheckpointError: if one cannot be removed.
    """
    try:
        for name in os.listdir(place):
            path = place / name
            if TEMPORARY.fullmatch(name) and path.is_file() and not path.is_symlink():
                path.unlink()
    except OSError as error:
        raise CheckpointError(place, f"cannot be cleaned: {reason(error)}") from error


def sync(path: str | PathLike[str]) -> None:
    """Wait until the file's bytes, or the directory's entries, are on the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: BaseException) -> str:
    """What went wrong in a few words: `strerror` of an OSError, else the message's first line."""
    if isinstance(error, CheckpointError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


__all__ = [
    "CheckpointError",
    "check_name",
    "clean",
    "one_line",
    "prepare",
    "reason",
    "sync",
    "temporary",
]
