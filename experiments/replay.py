# SPDX-License-Identifier: Apache-2.0
"""`replay RUN`: run the step that broke once more, and say what it gave."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import arguments
from experiments.options import ConfigError
from experiments.reopen import reopen
from jaxml.training import crash


@dataclasses.dataclass(frozen=True)
class Options:
    """Where to look."""

    data_dir: str = ""
    """Where data sets lie; the environment's JAXML_DATA_DIR if empty."""


def main(argv: Sequence[str]) -> None:
    """Print what was reported then, and every metric of the step now."""
    if not argv or argv[0].startswith("-"):
        raise ConfigError("replay: expected a run directory")
    options = arguments.parse(Options, argv[1:])
    opened = reopen(argv[0], options.data_dir)
    experiment = opened.experiment
    fresh = experiment.rule.init(experiment.model, opened.key)
    model, state, facts = crash.read(Path(argv[0]), experiment.model, fresh)
    metrics = crash.replay(
        experiment.rule, model, state, experiment.batches, opened.key, facts["step"]
    )
    print(f"then: {facts['message']}")
    print(f"now:  step {facts['step']}")
    for name, value in sorted(metrics.items()):
        mark = "" if np.isfinite(value).all() else "  <- not finite"
        print(f"  {name} = {np.squeeze(value)}{mark}")
