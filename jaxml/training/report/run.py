# SPDX-License-Identifier: Apache-2.0
"""`report.html`: what one run was, what came out of it, and how to do it again."""

import math
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from jaxml.metrics import Evidence, Unit, rounded
from jaxml.training.figure.series import Series
from jaxml.training.report import chart, page
from jaxml.training.report.markup import Html, element, join
from jaxml.training.report.page import Picture
from jaxml.training.report.text import shown

FRAMES = 12  # of a film: enough to see the learning, few enough to see each


def write(
    path: str | PathLike[str],
    *,
    title: str,
    summary: str = "",
    config: Mapping[str, Any] | None = None,
    evidence: Sequence[Evidence] = (),
    curves: Mapping[str, Mapping[str, Series]] | None = None,
    sheets: Mapping[str, Sequence[Picture]] | None = None,
    diagnostics: Mapping[str, Any] | None = None,
    digests: Mapping[str, str] | None = None,
    environment: Mapping[str, Any] | None = None,
    commands: Mapping[str, str] | None = None,
) -> None:
    """Write one static page that needs no network, no script and no other file.

    Everything is escaped, control characters are taken out, and the values of secrets masked.
    What is empty is left out.

    Args:
      path: the file; replaced as a whole.
      title: of the run: its experiment.
      summary: what was run, in a sentence or two.
      config: the options, nested or flat.
      evidence: what was measured; the first is the headline.
      curves: by panel, the curves by label (`jaxml.training.figure.panels` makes them).
      sheets: by heading, captioned PNG pictures. The last picture of the first heading stands
        beside the title, and only there if it is the only one. Under a heading one or two are
        shown large; more are a film, of which `FRAMES` are shown, the first and the last among
        them.
      diagnostics: by name, a text or a number, or a vector of numbers, which is drawn as bars.
      digests: by name, a hash.
      environment: versions, device, wall time.
      commands: by what they do, the shell commands: reproduce, resume, sample.

    Raises:
      CheckpointError: if the file cannot be written.
    """
    sheets = {heading: pictures for heading, pictures in (sheets or {}).items() if pictures}
    hero = next((pictures[-1] for pictures in sheets.values()), None)
    sheets = {heading: p for heading, p in sheets.items() if len(p) > 1 or p[0] is not hero}
    lead = element(
        "div",
        element("p", "a run of jaxml", class_="over"),
        element("h1", title),
        element("p", summary, class_="lead") if summary else None,
        element("div", *cards(evidence), class_="cards") if evidence else None,
    )
    drawn = [chart.curves(name, group) for name, group in (curves or {}).items()]
    drawn = [panel for panel in drawn if panel]
    settings, machine = page.listing(config or {}), page.listing(environment or {})
    page.write(
        path,
        title,
        element("header", lead, page.picture(*hero) if hero else None, class_="head"),
        page.section("Evidence", evidence_table(evidence) if evidence else None),
        page.section("Training", element("div", *drawn, class_="charts") if drawn else None),
        *_galleries(sheets),
        page.section("Diagnostics", *_diagnostics(diagnostics or {})),
        page.section("Run it again", *[_command(*pair) for pair in (commands or {}).items()]),
        page.pair({"Configuration": settings, "Environment": machine}),
        page.section("Digests", page.listing(digests or {}, value_class="hash")),
    )


def cards(evidence: Sequence[Evidence]) -> list[Html]:
    """A card for each, named by its family too where there are several."""
    several = len({item.family for item in evidence}) > 1
    names = [f"{name_of(item)}, {item.family}" if several else name_of(item) for item in evidence]
    return [card(item, name) for item, name in zip(evidence, names, strict=True)]


def card(item: Evidence, name: str) -> Html:
    """The value in large figures, and in small ones what it is."""
    unit = "" if item.unit is Unit.NUMBER else f" {item.unit.value}"
    return element(
        "div",
        element("p", name),
        element("p", _value(item), element("small", unit), class_="value"),
        element("p", item.provenance()),
        class_="card",
    )


def evidence_table(evidence: Sequence[Evidence]) -> Html:
    """Every field that decides what the number may be compared to; what all share stands below."""
    protocols = [protocol_of(item) for item in evidence]
    shared = dict(set.intersection(*[set(protocol.items()) for protocol in protocols]))
    rows = []
    for item, protocol in zip(evidence, protocols, strict=True):
        value, _, error = _value(item).partition(" ± ")
        own = {key: entry for key, entry in protocol.items() if key not in shared}
        cells = [value, error or ("0" if item.standard_error == 0 else "unknown"),
                 "" if item.unit is Unit.NUMBER else item.unit.value, item.kind.value, item.n,
                 "" if item.samples is None else item.samples, item.family]  # fmt: skip
        numbers = [element("td", cell, class_="number") for cell in cells]
        rows.append([element("td", name_of(item)), *numbers, element("td", facts(own))])
    head = ["quantity", "value", "± s.e.", "unit", "kind", "n", "samples", "family"]
    if len(shared) == max(map(len, protocols)):
        rows = [row[:-1] for row in rows]
    else:
        head.append("protocol")
    lead = element("b", "all measured on" if len(evidence) > 1 else "measured on")
    below = facts({key: entry for key, entry in protocols[0].items() if key in shared}, lead)
    return join(page.table(head, rows), below if shared else None)


def facts(protocol: Mapping[str, str], lead: Html | None = None) -> Html:
    """Names and values side by side; of a long hash the beginning, the rest on pointing at it."""
    spans = []
    for key, entry in protocol.items():
        title = entry if brief(entry) != entry else None
        spans.append(element("span", f"{key}: {brief(entry)}", title=title))
    return element("p", lead, *spans, class_="facts")


def brief(entry: str) -> str:
    """The beginning of a hash; everything else in full."""
    hashed = re.fullmatch("(?:sha256:)?[0-9a-f]{32,}", entry)
    return f"{entry[: entry.rfind(':') + 13]}…" if hashed else entry


def protocol_of(item: Evidence) -> dict[str, str]:
    """What the name of the evidence does not say yet."""
    found = {key: shown(entry) for key, entry in item.protocol.items() if key != "estimator"}
    if item.dim is not None:
        found["dimensions"] = str(item.dim)
    if item.levels != 1:
        found["levels per unit"] = shown(item.levels)
    return found


def _value(item: Evidence) -> str:
    return rounded(item.value, item.standard_error).replace("-", "−")


def name_of(item: Evidence) -> str:
    """The quantity, and the estimator where the protocol names one."""
    estimator = item.protocol.get("estimator")
    return f"{item.quantity}, {estimator}" if estimator else item.quantity


def _galleries(sheets: Mapping[str, Sequence[Picture]]) -> list[Html | None]:
    """A section for each heading; those of a single picture lie side by side in one."""
    films = {heading: pictures for heading, pictures in sheets.items() if len(pictures) > 1}
    found = [page.section(heading, _pictures(pictures)) for heading, pictures in films.items()]
    single = {h: _pictures(pictures) for h, pictures in sheets.items() if h not in films}
    return [*found, page.pair(single)]


def _pictures(pictures: Sequence[Picture]) -> Html:
    if len(pictures) <= 2:
        return element("div", *[page.picture(*p) for p in pictures], class_="wide")
    last = len(pictures) - 1
    chosen = sorted({0, *range(last, -1, -math.ceil(last / (FRAMES - 1)))})
    film = element("div", *[page.picture(*pictures[i]) for i in chosen], class_="film")
    if len(chosen) == len(pictures):
        return film
    return join(element("p", f"{len(chosen)} of {len(pictures)} pictures", class_="note"), film)


def _diagnostics(diagnostics: Mapping[str, Any]) -> list[Html | None]:
    """Texts and numbers as a list, vectors as bars."""
    vectors = {k: v for k, v in diagnostics.items() if np.ndim(v) == 1 and len(v) > 0}
    rest = {k: v for k, v in diagnostics.items() if k not in vectors}
    drawn = [chart.bars(name, np.asarray(v, float).tolist()) for name, v in vectors.items()]
    return [page.listing(rest), element("div", *drawn, class_="charts") if drawn else None]


def _command(name: str, command: str) -> Html:
    return join(element("h3", name), element("pre", element("code", command)))
