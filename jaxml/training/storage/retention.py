# SPDX-License-Identifier: Apache-2.0
"""Which checkpoint directories there are, and how they come, go and step aside.

`checkpoints/000000005` is committed: the name is taken by one rename of a sealed directory and
given up by another, so that a kill at any moment leaves no half checkpoint under such a name.
Whatever is deleted bears a name and a marker file that only this module gives.
"""

import errno
import os
import re
import secrets
import shutil
from pathlib import Path

from jaxml.training.storage import header
from jaxml.training.storage.directory import CheckpointError, sync

MARKER = "jaxml.checkpoint"
STEP = re.compile(r"[0-9]{9}")
PASSING = re.compile(r"\.(?:tmp|trash)-[0-9]{9}-[0-9a-f]{8}")


def place(directory: Path, step: int) -> Path:
    """Where the checkpoint of a step lies.

    Raises:
      CheckpointError: if the step is not in 0, ..., 999 999 999.
    """
    if not 0 <= step < 10**9:
        raise CheckpointError(directory, f"step {step} is not within 0 and 999999999")
    return directory / f"{step:09d}"


def steps(directory: Path) -> tuple[int, ...]:
    """The committed steps, ascending; damaged ones count until they are set aside."""
    if not directory.is_dir():
        return ()
    return tuple(sorted(int(n) for n in os.listdir(directory) if STEP.fullmatch(n)))


def create(directory: Path, step: int) -> Path:
    """A new temporary directory for a step, marked as ours."""
    path = directory / f".tmp-{step:09d}-{secrets.token_hex(4)}"
    path.mkdir()
    (path / MARKER).touch(exist_ok=False)
    return path


def commit(temporary: Path, step: int) -> Path:
    """Give a sealed temporary directory the name of its step, and make the name durable."""
    if not _ours(temporary):
        raise FileNotFoundError(errno.ENOENT, f"{MARKER} is gone", str(temporary))
    final = place(temporary.parent, step)
    temporary.rename(final)  # fails if a checkpoint is there: its directory is not empty
    try:
        sync(final.parent)
    except OSError:
        discard(final)  # a step whose save failed must not be found
        raise
    return final


def discard(path: Path) -> None:
    """Delete a checkpoint or a temporary directory that this module created.

    Raises:
      CheckpointError: if name, type or marker say that it is not ours; nothing is deleted then.
    """
    if not _ours(path):
        raise CheckpointError(path, f"is not deleted: not a directory with our {MARKER}")
    step = path.name if STEP.fullmatch(path.name) else path.name.split("-")[1]
    trash = path.with_name(f".trash-{step}-{secrets.token_hex(4)}")
    path.rename(trash)
    _delete(trash)


def _ours(path: Path) -> bool:
    named = STEP.fullmatch(path.name) or PASSING.fullmatch(path.name)
    return bool(named) and not path.is_symlink() and (path / MARKER).is_file()


def _delete(path: Path) -> None:
    """Empty a directory, its marker last, so that what a kill leaves is still known as ours."""
    for entry in list(os.scandir(path)):
        if entry.name == MARKER:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    (path / MARKER).unlink(missing_ok=True)
    path.rmdir()


def clean(directory: Path) -> None:
    """Remove what a killed process left half written or half deleted.

    Only the holder of the run's lock may call this: another writer's temporary looks the same.
    """
    if not directory.is_dir():
        return
    for name in os.listdir(directory):
        path = directory / name
        if not PASSING.fullmatch(name) or path.is_symlink() or not path.is_dir():
            continue
        if _ours(path):
            _delete(path)
        elif not any(path.iterdir()):  # killed before the marker was made, or after it went
            path.rmdir()


def set_aside(directory: Path, step: int) -> Path:
    """Rename a damaged checkpoint to `<step>.damaged`: kept for inspection, never restored."""
    source = place(directory, step)
    target, n = source.with_name(f"{source.name}.damaged"), 1
    while os.path.lexists(target):
        target, n = source.with_name(f"{source.name}.damaged.{n}"), n + 1
    source.rename(target)
    sync(directory)
    return target


def best(directory: Path) -> int | None:
    """The committed step with the lowest score, the earlier one of equals; `None` if unscored."""
    scores = []
    for step in steps(directory):
        try:
            score = header.read(place(directory, step)).best
        except CheckpointError:
            continue
        if score is not None:
            scores.append((score, step))
    return min(scores)[1] if scores else None


def retain(directory: Path, keep: int, good: int) -> None:
    """Delete all but the `keep` newest checkpoints, the best, and the step `good`.

    `good` has just been committed and read back. It need not be the newest name: a run resumed
    from an earlier step has later ones before it, which may be damaged or no checkpoints at all.
    """
    found = steps(directory)
    kept = {*found[-keep:], best(directory), good}
    for step in found:
        if step not in kept and _ours(place(directory, step)):
            discard(place(directory, step))


__all__ = [
    "MARKER",
    "best",
    "clean",
    "commit",
    "create",
    "discard",
    "place",
    "retain",
    "set_aside",
    "steps",
]
