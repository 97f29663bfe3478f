# SPDX-License-Identifier: Apache-2.0
"""`sample RUN`: draw from what a run has learned."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments import arguments, outcome
from experiments.options import ConfigError, Count, Natural
from experiments.reopen import newest, reopen


@dataclasses.dataclass(frozen=True)
class Options:
    """How many, and where to."""

    num: Count = 100
    """How many samples."""
    seed: Natural = 0
    """Names the noise: equal seeds draw equal samples."""
    out: str = ""
    """The PNG file; RUN/samples/seed-S.png if empty."""
    data_dir: str = ""
    """Where data sets lie; the environment's JAXML_DATA_DIR if empty."""


def main(argv: Sequence[str]) -> None:
    """Write a sheet of samples from the newest checkpoint."""
    if not argv or argv[0].startswith("-"):
        raise ConfigError("sample: expected a run directory")
    options = arguments.parse(Options, argv[1:])
    opened = reopen(argv[0], options.data_dir)
    if opened.experiment.sample is None:
        raise ConfigError(f"sample: {opened.name} is no generative model: it has no samples")
    step, model, state = newest(argv[0], opened)
    learned = opened.experiment.learned(model, state)
    sheet = opened.experiment.sample(learned, jax.random.key(options.seed), options.num)
    path = Path(options.out or Path(argv[0]) / "samples" / f"seed-{options.seed}.png")
    outcome.save(sheet, path)
    print(f"{options.num} samples of step {step}: {path}")
