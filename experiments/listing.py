# SPDX-License-Identifier: Apache-2.0
"""`list`: what can be trained, on what, to which number, in how many minutes."""

import dataclasses
from collections.abc import Sequence

from experiments.arguments import parse
from experiments.experiment import NAMES, find


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """`list` takes none."""


def main(argv: Sequence[str]) -> None:
    """Print one line an experiment."""
    parse(NoOptions, argv)
    rows = [("experiment", "family", "data", "expected", "minutes")]
    for name in NAMES:
        facts = find(name).FACTS
        rows.append((name, facts.family, facts.data, facts.expected, f"{facts.minutes:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
