# SPDX-License-Identifier: Apache-2.0
"""Several runs side by side, for a terminal and as a page."""

from collections.abc import Sequence
from os import PathLike

from jaxml.metrics import Evidence, Unit, compare, rounded
from jaxml.training.figure.series import Series
from jaxml.training.report import chart, page
from jaxml.training.report.column import Column, Run, columns, conclusions, reasons
from jaxml.training.report.markup import Html, element
from jaxml.training.report.run import brief, facts, name_of, protocol_of
from jaxml.training.report.text import entries, masked

INDISTINCT = 2.0  # standard errors within which two values are not told apart

UNPAIRED = (
    "Below a value stands its difference from the best, with a standard error as for independent "
    "examples: on the same examples it is too large rather than too small."
)


def table(runs: Sequence[Run]) -> str:
    """The comparison for a terminal: a row per run, a column per group of like evidence.

    An asterisk marks the best value of a column that has several; columns are never ranked
    together, and below the table stands why they are apart.
    """
    found = columns(runs)
    rows = [["run", *[f"[{k + 1}] {name_of(column.head)}" for k, column in enumerate(found)]]]
    for i, run in enumerate(runs):
        cells = []
        for column in found:
            item = column.values.get(i)
            star = " *" if len(column.values) > 1 and column.best() == i else ""
            cells.append("-" if item is None else rounded(item.value, item.standard_error) + star)
        rows.append([run.name, *cells])
    rows = [[masked(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"[{k + 1}] {_told(column.head)}" for k, column in enumerate(found)]
    lines += [f"[{k + 1}] is apart from [{m + 1}]: {why}" for k, m, why in reasons(found)]
    return masked("\n".join([*lines, *conclusions(runs, found)]))


def comparison(path: str | PathLike[str], runs: Sequence[Run]) -> None:
    """Write one page over several runs: evidence, what it proves, curves, differing options.

    Args:
      path: the file; replaced as a whole.
      runs: in the order of the rows.

    Raises:
      ValueError: if there is no run.
      CheckpointError: if the file cannot be written.
    """
    if not runs:
        raise ValueError("comparison: expected at least one run")
    found = columns(runs)
    names = ", ".join(run.name for run in runs)
    proven = [element("li", line) for line in conclusions(runs, found)]
    apart = [
        element("li", f"[{k + 1}] is apart from [{m + 1}]: {why}") for k, m, why in reasons(found)
    ]
    drawn = [chart.curves(name, group) for name, group in _overlaid(runs).items()]
    drawn = [panel for panel in drawn if panel]
    page.write(
        path,
        f"Comparison of {names}",
        element(
            "header",
            element("p", f"{len(runs)} runs of jaxml", class_="over"),
            element("h1", "Comparison"),
            element("p", names, class_="lead"),
        ),
        page.section(
            "Evidence",
            _evidence(runs, found) if found else None,
            element("p", UNPAIRED, class_="note") if found and len(runs) > 1 else None,
            *[_legend(k, column.head) for k, column in enumerate(found)],
        ),
        page.section("What bounds prove", element("ul", *proven) if proven else None),
        page.section("What is not ranked together", element("ul", *apart) if apart else None),
        page.section("Training", element("div", *drawn, class_="charts") if drawn else None),
        page.section("Options that differ", _options(runs)),
    )


def _evidence(runs: Sequence[Run], found: Sequence[Column]) -> Html:
    head = ["run"]
    head += [
        f"[{k + 1}] {name_of(column.head)}{_unit(column.head)}" for k, column in enumerate(found)
    ]
    rows = [
        [element("td", run.name, class_="number"), *[_cell(column, i) for column in found]]
        for i, run in enumerate(runs)
    ]
    return page.table(head, rows, class_="columns")


def _cell(column: Column, i: int) -> Html:
    """The value, and how far from the best of its column it is."""
    item = column.values.get(i)
    if item is None:
        return element("td")
    value = rounded(item.value, item.standard_error).replace("-", "−")
    if len(column.values) == 1:
        return element("td", value, class_="number")
    if column.best() == i:
        return element("td", value, element("span", "best", class_="beside"), class_="number best")
    gap = compare(item, column.values[column.best()])
    told = rounded(gap.difference, gap.standard_error).replace("-", "−")
    error = gap.standard_error
    if error is not None and abs(gap.difference) <= INDISTINCT * error:
        told += ", not distinguishable"
    return element("td", value, element("span", told, class_="beside"), class_="number")


def _legend(k: int, head: Evidence) -> Html:
    return facts(protocol_of(head), element("b", f"[{k + 1}] {head.provenance()}"))


def _told(head: Evidence) -> str:
    protocol = [f"{key}: {brief(entry)}" for key, entry in protocol_of(head).items()]
    unit = [] if head.unit is Unit.NUMBER else [head.unit.value]
    return ", ".join([*unit, head.provenance(), *protocol])


def _unit(item: Evidence) -> str:
    return "" if item.unit is Unit.NUMBER else f" ({item.unit.value})"


def _overlaid(runs: Sequence[Run]) -> dict[str, dict[str, Series]]:
    """Panels that several runs have, a curve per run: of validation if all have it, else train."""
    found: dict[str, dict[str, Series]] = {}
    for panel in dict.fromkeys(name for run in runs for name in run.curves):
        having = {
            name: run.curves[panel]
            for name, run in zip(_labels(runs), runs, strict=True)
            if run.curves.get(panel)
        }
        if len(having) < 2:
            continue
        shared = set.intersection(*[set(group) for group in having.values()])
        label = next((split for split in ("validation", "train") if split in shared), None)
        if label is not None:
            found[f"{panel}, {label}"] = {name: group[label] for name, group in having.items()}
    return found


def _labels(runs: Sequence[Run]) -> list[str]:
    """The names, those that occurred before with a number."""
    names = [run.name for run in runs]
    return [
        f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name
        for i, name in enumerate(names)
    ]


def _options(runs: Sequence[Run]) -> Html | None:
    """A row per option whose value is not the same in all runs."""
    settings = [entries(run.config) for run in runs]
    rows = []
    for key in dict.fromkeys(key for options in settings for key in options):
        values = [options.get(key, "") for options in settings]
        if len(set(values)) > 1:
            rows.append([key, *values])
    if not rows:
        return None
    return page.table(["option", *[run.name for run in runs]], rows)
