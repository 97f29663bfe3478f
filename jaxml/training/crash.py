# SPDX-License-Identifier: Apache-2.0
"""A crash bundle: everything that is needed to run the bad step again."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxml.training.fit import NonFiniteError
from jaxml.training.storage import atomic, leaves
from jaxml.training.storage.directory import CheckpointError, prepare, reason
from jaxml.types import Batches, Key, Model, Rule, State

FOLDER, ARRAYS, FACTS = "crash", "arrays.npz", "crash.json"


def write(run: Path, error: NonFiniteError, identity: Mapping[str, Any]) -> None:
    """Keep model and state as they stood before the bad step, with the step and the message.

    Not a checkpoint: its leaves may be non-finite, and nothing ever resumes from it.
    """
    folder = prepare(run / FOLDER)
    arrays, _ = leaves.snapshot({"model": error.model, "state": error.state})
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    atomic.write_bytes(folder / ARRAYS, packed.getvalue())
    facts = {"step": error.step, "message": str(error), "identity": dict(identity)}
    atomic.write_text(folder / FACTS, json.dumps(facts, indent=2, sort_keys=True) + "\n")


def read(run: Path, model: Model, state: State) -> tuple[Model, State, dict[str, Any]]:
    """Model and state before the bad step, and the facts.

    Raises:
      CheckpointError: if there is no bundle, or it is of another model.
    """
    folder = run / FOLDER
    like = {"model": model, "state": state}
    try:
        facts = json.loads((folder / FACTS).read_text())
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tree = leaves.restore(like, arrays)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            folder, f"holds no crash bundle of this model: {reason(error)}"
        ) from error
    return tree["model"], tree["state"], facts


def replay(
    rule: Rule, model: Model, state: State, batches: Batches, key: Key, step: int
) -> dict[str, np.ndarray]:
    """The metrics of the bad step (counted from 1), run once more."""
    data = batches.feed(step - 1, 1, 1)

    @jax.jit
    def once(model, state, data, index):
        batch = batches.take(data, index, index * 0)
        return rule.update(model, state, batch, jax.random.fold_in(key, index))[2]

    metrics = once(model, state, data, np.int32(step - 1))
    return {name: np.asarray(value) for name, value in metrics.items()}
