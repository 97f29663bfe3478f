# SPDX-License-Identifier: Apache-2.0
"""Durable checkpoints: saved behind the caller's back, sealed, verified before they are restored.

A checkpoint is written into a temporary directory (arrays by Orbax, `metadata.json`, the manifest),
every file and directory is synchronized, the arrays are read back, and one rename gives it the name
of its step.
"""

import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxml.training.storage import header, leaves, manifest, orbax_store, retention
from jaxml.training.storage.directory import CheckpointError, reason, sync
from jaxml.training.storage.header import Header
from jaxml.training.storage.leaves import digest
from jaxml.training.storage.manifest import DamagedError

ARRAYS = "arrays"


class Writer:
    """Saves trees in a thread; made by `writer`."""

    def __init__(self, directory: Path, keep: int, pool: ThreadPoolExecutor):
        self._directory, self._keep, self._pool = directory, keep, pool
        self._pending: Future[None] | None = None

    def save(
        self,
        step: int,
        tree: PyTree,
        metadata: Mapping[str, Any],
        *,
        best: float | None = None,
    ) -> None:
        """Copy the tree to the host and save it in the background.

        One save is under way at a time: this waits for the one before it.

        Args:
          step: how many steps the tree has seen; not yet saved.
          tree: dicts, lists, tuples and NamedTuples of JAX arrays, NumPy arrays, typed keys and
            Python numbers. Its buffers may be donated as soon as this returns.
          metadata: what JSON can express; returned by `verify` and `load`.
          best: the quantity whose lowest value marks the best step, such as a validation loss;
            the checkpoint where it is lowest is never deleted. A non-finite value counts as none.

        Raises:
          CheckpointError: if an earlier save failed, the step is saved already, a leaf cannot be
            stored, a floating leaf is not finite (an infinity that is meant, such as the best
            loss before the first step, must be a large finite number), or the metadata is no JSON.
        """
        self.wait()
        final = retention.place(self._directory, step)
        if os.path.lexists(final):
            raise CheckpointError(final, f"step {step} is saved already")
        try:
            arrays, specs = leaves.snapshot(tree)
            bad = leaves.first_non_finite(arrays)
            if bad is not None:
                raise ValueError(f"{bad} is not finite{_advice(arrays[bad])}")
            score = best if best is not None and math.isfinite(best) else None
            described = {name: str(spec) for name, spec in specs.items()}
            facts = Header(step, score, "", described, dict(metadata))
            header.dumps(facts)
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(final, f"step {step} was not saved: {reason(error)}") from error
        self._pending = self._pool.submit(_commit, self._directory, facts, arrays, self._keep)

    def wait(self) -> None:
        """Wait for the save under way.

        Raises:
          CheckpointError: if it failed; each failure is raised once.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


@contextmanager
def writer(directory: str | PathLike[str], *, keep: int = 2) -> Iterator[Writer]:
    """A `Writer` of checkpoints under `directory`, which is made if its parent exists.

    The caller holds the run's lock (`lock.hold`): what a killed writer left is removed first.
    On leaving, the save under way is waited for and its failure raised; if another exception is
    on its way already, that one goes on and the failure is noted on it.

    Args:
      directory: such as `run/checkpoints`.
      keep: how many of the newest checkpoints stay; the best stays too.

    Raises:
      CheckpointError: if the directory cannot be made, or a save failed.
    """
    place = Path(os.path.abspath(directory))
    if keep < 1:
        raise ValueError(f"writer: keep must be at least 1, got {keep}")
    try:
        if not place.is_dir():
            place.mkdir()
            sync(place.parent)
        retention.clean(place)
    except OSError as error:
        raise CheckpointError(place, f"cannot hold checkpoints: {reason(error)}") from error
    with ThreadPoolExecutor(1, "checkpoint") as pool:
        saving = Writer(place, keep, pool)
        try:
            yield saving
        except BaseException as error:
            try:
                saving.wait()
            except CheckpointError as failure:
                error.add_note(str(failure))
            raise
        saving.wait()


def _advice(array: np.ndarray) -> str:
    """What to do about infinities that are meant, such as the best loss before the first step."""
    meant = not np.isnan(array).any()
    return ": in place of infinity begin with a large finite number" if meant else ""


def _commit(directory: Path, facts: Header, arrays: dict[str, np.ndarray], keep: int) -> None:
    """Write, seal, synchronize, rename, and only then delete what is no longer kept."""
    final = retention.place(directory, facts.step)
    try:
        path = retention.create(directory, facts.step)
        try:
            orbax_store.write(path / ARRAYS, arrays)
            facts = facts._replace(digest=leaves.digest_arrays(arrays))
            (path / header.FILE).write_text(header.dumps(facts))
            manifest.write(path)
            _read_back(path / ARRAYS, arrays)
            retention.commit(path, facts.step)
        except BaseException:
            with suppress(OSError, CheckpointError):
                retention.discard(path)
            raise
    except Exception as error:
        raise CheckpointError(final, f"step {facts.step} was not saved: {reason(error)}") from error
    try:
        retention.retain(directory, keep, facts.step)
    except OSError as error:
        why = f"old checkpoints cannot be deleted: {reason(error)}"
        raise CheckpointError(directory, why) from error


def _read_back(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Restore what was sealed: a seal over a file that never arrived would verify for ever."""
    back = orbax_store.read(path, {name: leaves.spec(array) for name, array in arrays.items()})
    for name, array in arrays.items():
        if not leaves.same(back[name], array):
            raise OSError(f"{name}: the numbers read back are not those written")


def steps(directory: str | PathLike[str]) -> tuple[int, ...]:
    """The committed steps under `directory`, ascending."""
    return retention.steps(Path(directory))


def latest(directory: str | PathLike[str]) -> int | None:
    """The newest committed step, sound or not; `None` if there is none."""
    return max(steps(directory), default=None)


def best(directory: str | PathLike[str]) -> int | None:
    """The committed step with the lowest score; `None` if no step has one."""
    return retention.best(Path(directory))


def latest_good(directory: str | PathLike[str]) -> tuple[int | None, tuple[int, ...]]:
    """The newest step that verifies, and the newer, damaged ones, which are set aside.

    A damaged checkpoint is renamed to `<step>.damaged` and not deleted.

    Returns:
      `(step, damaged)`; `(None, ())` if nothing has been saved.

    Raises:
      CheckpointError: if no step verifies (nothing is renamed then), or one cannot be judged:
        its format is newer, or it may not be read.
    """
    place, damaged = Path(directory), []
    for step in reversed(steps(place)):
        try:
            verify(place, step)
        except DamagedError:
            damaged.append(step)
            continue
        for bad in damaged:
            retention.set_aside(place, bad)
        return step, tuple(damaged)
    if damaged:
        shown = ", ".join(map(str, damaged))
        raise CheckpointError(place, f"every checkpoint is damaged: step {shown}")
    return None, ()


def verify(directory: str | PathLike[str], step: int) -> dict[str, Any]:
    """Compare every byte of a checkpoint with its manifest, and return the caller's metadata.

    Raises:
      DamagedError: naming the file and the step.
      CheckpointError: if there is no such step, its format is newer, or it may not be read.
    """
    return _verified(Path(directory), step).metadata


def _verified(directory: Path, step: int) -> Header:
    root = retention.place(directory, step)
    if not os.path.lexists(root):
        shown = ", ".join(map(str, steps(directory))) or "none"
        raise CheckpointError(root, f"step {step} is not saved here; saved: {shown}")
    try:
        manifest.check(root)
        facts = header.read(root)
        if facts.step != step:
            raise DamagedError(root, f"holds step {facts.step}")
    except CheckpointError as error:
        raise type(error)(error.path, f"step {step}: {error.reason}") from error
    return facts


def load(directory: str | PathLike[str], step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
    """Verify a checkpoint, compare it with `like`, and only then restore it.

    Nothing is cast: a leaf whose kind, dtype or shape differs is refused before a byte is
    allocated, and the digest of the restored tree must be that of the saved one.

    Args:
      directory: where the checkpoints are.
      step: which one.
      like: the tree expected, concrete or abstract (`jax.eval_shape`); gives the containers, the
        placement, and for each leaf whether it is a JAX array, a NumPy array or a number.

    Returns:
      The tree and the caller's metadata.

    Raises:
      DamagedError: if it is not, byte for byte, what was saved.
      CheckpointError: if it holds another tree; the first five differing paths are named.
    """
    place = Path(directory)
    facts = _verified(place, step)
    root = retention.place(place, step)
    try:
        expected = leaves.specs(like)
    except (TypeError, ValueError) as error:
        raise CheckpointError(root, f"step {step}: expected tree: {reason(error)}") from error
    different = list(leaves.differences(facts.leaves, expected))
    if different:
        shown = "; ".join(different[:5])
        more = f"; and {len(different) - 5} more" if len(different) > 5 else ""
        raise CheckpointError(root, f"step {step} holds another tree: {shown}{more}")
    try:
        tree = leaves.restore(like, orbax_store.read(root / ARRAYS, expected))
    except Exception as error:
        raise CheckpointError(root, f"step {step} cannot be read: {reason(error)}") from error
    if leaves.digest(tree) != facts.digest:
        raise CheckpointError(root, f"step {step}: the numbers restored are not those saved")
    return tree, facts.metadata


__all__ = [
    "CheckpointError",
    "DamagedError",
    "Writer",
    "best",
    "digest",
    "latest",
    "latest_good",
    "load",
    "steps",
    "verify",
    "writer",
]
