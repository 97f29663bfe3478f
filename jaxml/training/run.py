# SPDX-License-Identifier: Apache-2.0
"""A run directory: one writer, a log of every step, checkpoints, and the way back into them."""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxml.training import log
from jaxml.training.identity import refused
from jaxml.training.storage import atomic, checkpoint, lock
from jaxml.training.storage.directory import CheckpointError, clean, prepare, reason
from jaxml.types import Key, Model, State

CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
CONFIG = "config.json"
RESULT = "result.json"
CHANGES = "changes.jsonl"
SAMPLES = "samples"

Append = Callable[[int, Mapping[str, Any]], None]
"""`append(step, metrics)`: one line a step to a log; `step` is the last of them."""

Resume = Callable[[Path], int | None]
"""How to choose the step to continue from, given the directory of checkpoints; None: the start."""


def never(checkpoints: Path) -> None:
    """Only ever begin: a directory that holds a run is refused.

    Raises:
      CheckpointError: if a run was begun here.
    """
    if (checkpoints.parent / CONFIG).exists() or checkpoint.steps(checkpoints):
        raise CheckpointError(
            checkpoints.parent, "holds a run already; resume it or choose another"
        )


def newest(checkpoints: Path) -> int | None:
    """Continue from the newest checkpoint, or begin; a damaged one is an error."""
    return checkpoint.latest(checkpoints)


def last_good(checkpoints: Path) -> int | None:
    """Continue from the newest sound checkpoint; damaged ones are set aside, and both are told."""
    step, damaged = checkpoint.latest_good(checkpoints)
    if damaged:
        shown = ", ".join(map(str, damaged))
        print(f"checkpoint of step {shown} is damaged and set aside; continuing from step {step}")
    return step


class Run:
    """An open run directory; made by `open_run`.

    Attributes:
      directory: where it is.
      first: the step to continue from; 0 at the beginning.
    """

    def __init__(
        self, directory: Path, first: int | None, writer: checkpoint.Writer, append: Append
    ):
        self.directory = directory
        self.first = first or 0
        self._resumes = first is not None
        self._saved = self.first if self._resumes else -1
        self._writer, self._append = writer, append
        self._identity: dict[str, Any] = {}
        self._seconds, self._began = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has been trained, in all processes that its checkpoints went through."""
        return self._seconds + time.perf_counter() - self._began

    def start(
        self,
        identity: Mapping[str, Any],
        config: str,
        model: Model,
        state: State,
        *,
        allow: Collection[str] = (),
    ) -> tuple[Model, State]:
        """Begin with `model` and `state`, or put in their place what the checkpoint holds.

        Args:
          identity: JSON facts that a resume must find unchanged: configuration, data, versions.
          config: the text of `config.json`.
          model: freshly initialized; its structure, shapes and dtypes must be the saved one's.
          state: likewise.
          allow: paths of the identity that may differ this time; what did is logged.

        Raises:
          CheckpointError: naming the first five differences, or the damage.
        """
        self._identity, self._began = json.loads(json.dumps(identity)), time.perf_counter()
        if not self._resumes:
            atomic.write_text(self.directory / CONFIG, config)
            return model, state
        place = self.directory / CHECKPOINTS
        saved = checkpoint.verify(place, self.first)
        self._seconds = float(saved.get("seconds", 0.0))
        bad, good = refused(saved["identity"], self._identity, allow)
        if bad:
            more = f" (and {len(bad) - 5} more)" if len(bad) > 5 else ""
            shown = "; ".join(bad[:5]) + more
            raise CheckpointError(self.directory, f"step {self.first} is of another run: {shown}")
        if good:
            with atomic.open_at(self.directory / CHANGES, self.first - 1) as changes:
                changes.write(json.dumps({"step": self.first, "changes": good}) + "\n")
            atomic.write_text(self.directory / CONFIG, config)
        like = {"model": model, "state": state}
        tree, _ = checkpoint.load(place, self.first, like)
        return tree["model"], tree["state"]

    def record(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Append one line a step to `metrics.jsonl`; `step` is the last of them."""
        self._append(step, metrics)

    def save(self, step: int, model: Model, state: State, *, best: float | None = None) -> None:
        """Save a checkpoint in the background; a step that is saved already is left as it is.

        No checkpoint holds NaN or infinity. State that begins with an infinity, such as the best
        loss so far, begins with a large finite number instead: `jnp.finfo(dtype).max`.

        Raises:
          CheckpointError: naming the leaf that is not finite or cannot be stored, or if an earlier
            save failed.
        """
        if step == self._saved:
            return
        tree = {"model": model, "state": state}
        facts = {"identity": self._identity, "seconds": round(self.seconds, 3)}
        self._writer.save(step, tree, facts, best=best)
        self._saved = step

    def wait(self) -> None:
        """Wait for the checkpoint under way, and raise what went wrong with it."""
        self._writer.wait()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Wait for the checkpoint under way, then write `result.json`."""
        self._writer.wait()
        text = json.dumps(result, indent=2, sort_keys=True, allow_nan=False)
        atomic.write_text(self.directory / RESULT, text + "\n")


@contextmanager
def open_run(
    directory: str | PathLike[str], *, resume: Resume = never, keep: int = 2
) -> Iterator[Run]:
    """Make or enter a run directory as its only writer.

    Args:
      directory: its parent must exist.
      resume: `never`, `newest`, or another choice of the step.
      keep: how many of the newest checkpoints stay, beside the best.

    Raises:
      CheckpointError: if the directory cannot be used, is held by another process, holds a run
        that must not be resumed, or a checkpoint could not be saved.
    """
    place = prepare(directory)
    with lock.hold(place):
        for folder in (place, place / SAMPLES):
            if folder.is_dir():
                clean(folder)
        first = resume(place / CHECKPOINTS)
        with (
            open_log(place / METRICS, first or 0) as append,
            checkpoint.writer(place / CHECKPOINTS, keep=keep) as writer,
        ):
            yield Run(place, first, writer, append)


@contextmanager
def open_log(path: str | PathLike[str], step: int) -> Iterator[Append]:
    """A log that continues after `step`; its lines of later steps are cut off.

    Raises:
      CheckpointError: naming the file, if it is no such log or cannot be opened or written.
    """
    file = atomic.open_at(path, step)

    def append(step: int, metrics: Mapping[str, Any]) -> None:
        try:
            log.append(file, step, metrics)
        except OSError as error:
            raise CheckpointError(path, f"cannot be written: {reason(error)}") from error

    try:
        yield append
    finally:
        with suppress(OSError):  # what could not be written is tried once more here
            file.close()


def digests(model: Model, state: State, key: Key, data: Mapping[str, Any], step: int) -> dict:
    """The sha256 of everything that decides how a run goes on.

    `model` is the parameters; each part of a composed state has its own, and so has each part of
    the rule that a guard holds (`state.rule.average`); `key` is the run's key; `data` is the data's
    fingerprint and the position in it.
    """
    position = json.dumps([data, step], sort_keys=True)
    return {
        "params": checkpoint.digest(model),
        **{name: checkpoint.digest(part) for name, part in _parts("state", state)},
        "key": checkpoint.digest(jax.random.key_data(key)),
        "data": hashlib.sha256(position.encode()).hexdigest(),
    }


def _parts(name: str, state: State) -> Iterator[tuple[str, State]]:
    parts = state if isinstance(state, dict) else {"rule": state}
    for part, inner in parts.items():
        if part == "rule" and isinstance(inner, dict):
            yield from _parts(f"{name}.rule", inner)
        else:
            yield f"{name}.{part}", inner
