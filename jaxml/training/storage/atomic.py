# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent: atomic replacement, and a log that resumes at a step."""

import io
import json
import os
from os import PathLike
from pathlib import Path
from typing import TextIO

from jaxml.training.storage.directory import CheckpointError, reason, sync, temporary


def write_bytes(path: str | PathLike[str], data: bytes) -> None:
    """Replace a file by `data`: a reader sees the old bytes or the new ones, also after a crash.

    The data go to an exclusively created file beside the target (mode 0666 less the umask), are
    synchronized, take the name, and the directory is synchronized.

    Raises:
      CheckpointError: if the file cannot be written; the old file is then intact.
    """
    target = Path(path)
    beside = temporary(target)
    try:
        with open(beside, "xb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(beside, target)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
        sync(target.parent)
    except OSError as error:
        raise CheckpointError(target, f"cannot be written: {reason(error)}") from error


def write_text(path: str | PathLike[str], text: str) -> None:
    """Replace a file by `text` in UTF-8 (see `write_bytes`)."""
    write_bytes(path, text.encode())


def open_at(path: str | PathLike[str], step: int) -> TextIO:
    """A log of one JSON object per line, opened to append what follows `step`.

    Lines of later steps and a last line torn by a kill are cut off, so that a run resumed from
    the checkpoint of `step` writes each step exactly once. Every line must hold an integer
    `step`, larger than the line before. Line buffered: a written line survives the process.

    Raises:
      CheckpointError: if a line before the cut is no such object, or the file cannot be opened.
    """
    target = Path(path)
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            with open(descriptor, "rb", closefd=False) as file:
                end = _end(target, file, step)
            os.ftruncate(descriptor, end)
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return open(descriptor, "a", buffering=1, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CheckpointError(target, f"cannot be opened: {reason(error)}") from error


def _end(path: Path, file: io.BufferedReader, step: int) -> int:
    """The offset behind the last whole line whose step is at most `step`."""
    end, last = 0, -1
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            break
        try:
            current = json.loads(line)["step"]
            if type(current) is not int or current <= last:
                raise ValueError(f"step {current} after {last}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = f"line {number} is not one JSON object with a growing integer step"
            raise CheckpointError(path, f"{why} ({reason(error)})") from error
        if current > step:
            break
        end, last = end + len(line), current
    return end


__all__ = ["open_at", "write_bytes", "write_text"]
