# SPDX-License-Identifier: Apache-2.0
"""Evidence of several runs in columns: what is alike in one, what is unlike in columns apart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxml.metrics import Evidence, Incomparable, certainly_better, convert, unlike
from jaxml.training.figure.series import Series


class Run(NamedTuple):
    """What is compared.

    Attributes:
      name: of the run; shown, not interpreted.
      evidence: what was measured.
      config: its options: those that differ between the runs are listed.
      curves: by panel, the curves by label.
    """

    name: str
    evidence: Sequence[Evidence]
    config: Mapping[str, Any] = {}
    curves: Mapping[str, Mapping[str, Series]] = {}


class Column(NamedTuple):
    """Evidence that may be ranked: at most one value a run, all in the unit of the first.

    Attributes:
      head: what all values are like.
      values: by the index of the run.
    """

    head: Evidence
    values: dict[int, Evidence]

    def best(self) -> int:
        """The index of the run with the best value."""
        sign = 1 if self.head.higher_is_better else -1
        return max(self.values, key=lambda i: sign * self.values[i].value)


def columns(runs: Sequence[Run]) -> list[Column]:
    """All evidence of all runs, sorted into columns of like with like."""
    found: list[Column] = []
    for i, run in enumerate(runs):
        for item in run.evidence:
            for column in found:
                if i not in column.values and unlike(column.head, item) is None:
                    head = column.head
                    column.values[i] = convert(item, head.unit, levels=head.levels)
                    break
            else:
                found.append(Column(item, {i: item}))
    return found


def reasons(found: Sequence[Column]) -> Iterator[tuple[int, int, str]]:
    """Why columns of one quantity are apart: `(later, earlier, the first thing that differs)`."""
    for later, column in enumerate(found):
        for earlier in range(later):
            if found[earlier].head.quantity == column.head.quantity:
                yield later, earlier, unlike(column.head, found[earlier].head) or "measured again"
                break


def conclusions(runs: Sequence[Run], found: Sequence[Column]) -> Iterator[str]:
    """What bounds prove across columns: one run is better than another whatever they leave open."""
    told = set()
    for column in found:
        for i, a in column.values.items():
            for other in found:
                for j, b in other.values.items():
                    if i == j or other is column or (i, j, a.quantity) in told:
                        continue
                    try:
                        proven = certainly_better(a, b)
                    except Incomparable:
                        continue
                    if proven:
                        told.add((i, j, a.quantity))
                        yield (
                            f"{runs[i].name} is better than {runs[j].name} in {a.quantity}: "
                            f"{a} against {b}"
                        )
