# SPDX-License-Identifier: Apache-2.0
"""`compare RUN...`: one table and one page over several runs."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from experiments import arguments, config, pages
from experiments.options import ConfigError, quote
from experiments.reopen import read_settings
from jaxml.metrics import from_json
from jaxml.training import report
from jaxml.training.run import RESULT
from jaxml.training.storage.directory import CheckpointError


@dataclasses.dataclass(frozen=True)
class Options:
    """Where to write."""

    out: str = "comparison.html"
    """The page."""


def main(argv: Sequence[str]) -> None:
    """Print the table and write the page; numbers that mean different things stand apart."""
    split = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    names = argv[:split]
    if not names:
        raise ConfigError("compare: expected one or more run directories")
    options = arguments.parse(Options, argv[split:])
    runs = [gather(name) for name in names]
    print(report.table(runs))
    report.comparison(options.out, runs)
    print(f"page: {options.out}")


def gather(name: str) -> report.Run:
    """What a comparison shows of one finished run.

    Raises:
      CheckpointError: the run is not finished, or its result cannot be read.
    """
    path = Path(name) / RESULT
    settings = read_settings(name)
    try:
        result = json.loads(path.read_text())
        evidence = [from_json(item) for item in result["evidence"]]
    except FileNotFoundError:
        raise CheckpointError(name, f"is not finished: there is no {RESULT}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(path, f"is no result: {quote(str(error))}") from None
    return report.Run(
        name=name,
        evidence=evidence,
        config=dataclasses.asdict(settings),
        curves=pages.curves(Path(name), config.name_of(type(settings))),
    )
