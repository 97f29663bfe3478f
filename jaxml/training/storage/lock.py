# SPDX-License-Identifier: Apache-2.0
"""One writer per run directory."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from jaxml.training.storage.directory import CheckpointError, reason

FILE = "run.lock"
PATIENCE = 2.0  # seconds a loser waits for the winner to write its name
_HELD: set[int] = set()


class RunLockedError(CheckpointError):
    """Another process writes to the run directory; the message names its pid and host."""


class Holder(NamedTuple):
    """Who holds a lock, as the lock file says it."""

    pid: int
    host: str
    start: str


@contextmanager
def hold(run_directory: str | PathLike[str]) -> Iterator[None]:
    """Hold the run directory: at most one process at a time is inside.

    The kernel's lock on the file `run.lock` (flock) decides, and ends with its process, so that a
    killed holder's lock is free at once. The name written into the file is for the loser's error,
    and for another host: where the file system does not carry flock between hosts, a name that
    was left by another host is respected, not judged.

    Raises:
      RunLockedError: if another process holds the lock, or another host's holder left its name.
      CheckpointError: if the lock file cannot be used.
    """
    path = Path(run_directory) / FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise CheckpointError(path, f"cannot be opened: {reason(error)}") from error
    _HELD.add(descriptor)
    try:
        _acquire(path, descriptor)
        try:
            yield
        finally:
            if descriptor in _HELD:
                os.ftruncate(descriptor, 0)  # a clean end leaves no name behind
    finally:
        if descriptor in _HELD:  # not so in a forked child, whose copy is closed already
            _HELD.remove(descriptor)
            os.close(descriptor)


def _acquire(path: Path, descriptor: int) -> None:
    host, deadline = socket.gethostname(), time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(descriptor)
        except OSError as error:
            raise CheckpointError(path, f"cannot be locked: {reason(error)}") from error
        else:
            break
        if (holder is not None and not _ended(holder)) or time.monotonic() > deadline:
            raise RunLockedError(path, _describe(holder, "is held by"))
        time.sleep(0.01)
    if os.pread(descriptor, 1, 0).strip(b"\0"):
        holder = _read(descriptor)
        if holder is None or holder.host != host:
            left = _describe(holder, "was left by")
            raise RunLockedError(path, f"{left}; delete this file if that process has ended")
    start = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps(Holder(os.getpid(), host, start)._asdict()).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


def _read(descriptor: int) -> Holder | None:
    """The name in the lock file; `None` while it is being written."""
    try:
        facts = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(facts["pid"]), str(facts["host"]), str(facts["start"]))
    except (ValueError, TypeError, KeyError):
        return None


def _ended(holder: Holder) -> bool:
    """Whether the name is an older one: the new holder of the lock has not yet written its own."""
    if holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _describe(holder: Holder | None, verb: str) -> str:
    if holder is None:
        return f"{verb} a process that has not written its name"
    return f"{verb} process {holder.pid} on host {holder.host} since {holder.start}"


def _release_in_child() -> None:
    """Close a forked child's copies: while one is open, the lock would outlive its holder."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_release_in_child)

__all__ = ["Holder", "RunLockedError", "hold"]
