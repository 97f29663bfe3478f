# SPDX-License-Identifier: Apache-2.0
"""`verify RUN`: hold every byte of every checkpoint against its manifest."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from experiments import arguments
from experiments.options import ConfigError
from jaxml.training.run import CHECKPOINTS
from jaxml.training.storage import checkpoint
from jaxml.training.storage.directory import CheckpointError


@dataclasses.dataclass(frozen=True)
class Options:
    """`verify` takes none."""


def main(argv: Sequence[str]) -> None:
    """Print one line a checkpoint; fail if any is damaged."""
    if not argv or argv[0].startswith("-"):
        raise ConfigError("verify: expected a run directory")
    arguments.parse(Options, argv[1:])
    place = Path(argv[0]) / CHECKPOINTS
    found = checkpoint.steps(place)
    if not found:
        raise CheckpointError(place, "holds no checkpoint")
    damage = []
    for step in found:
        try:
            checkpoint.verify(place, step)
            print(f"step {step}: sound")
        except CheckpointError as error:
            damage.append(error)
            print(f"step {step}: damaged")
    if damage:
        raise damage[0]
