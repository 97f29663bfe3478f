# SPDX-License-Identifier: Apache-2.0
"""`evaluate RUN`: the evidence of what a run has learned, on the test split."""

import dataclasses
from collections.abc import Sequence

from experiments import arguments, outcome
from experiments.options import ConfigError
from experiments.reopen import newest, reopen


@dataclasses.dataclass(frozen=True)
class Options:
    """Where to look."""

    data_dir: str = ""
    """Where data sets lie; the environment's JAXML_DATA_DIR if empty."""


def main(argv: Sequence[str]) -> None:
    """Print one line a piece of evidence."""
    if not argv or argv[0].startswith("-"):
        raise ConfigError("evaluate: expected a run directory")
    options = arguments.parse(Options, argv[1:])
    opened = reopen(argv[0], options.data_dir)
    step, model, state = newest(argv[0], opened)
    learned = opened.experiment.learned(model, state)
    print(f"{opened.name}, step {step}:")
    outcome.tell(outcome.evaluate(opened.name, opened.experiment, learned, opened.key))
