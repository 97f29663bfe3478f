# SPDX-License-Identifier: Apache-2.0
"""The parts that pages are made of: the page itself, sections, tables, lists and pictures."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from jaxml.training.report.markup import Html, element, join, raw
from jaxml.training.report.style import CSS
from jaxml.training.report.text import entries
from jaxml.training.storage import atomic

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What the page may load: nothing. It tells the browser so, in case something slipped through."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Picture = tuple[str, bytes | str | PathLike[str]]
"""A caption, and a PNG: its bytes or where they are."""


def write(path: str | PathLike[str], title: str, *body: Html | None) -> None:
    """Write one HTML file that needs nothing but itself.

    Raises:
      CheckpointError: if the file cannot be written.
    """
    head = join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=raw(POLICY)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", raw(CSS)),
    )
    page = element("html", element("head", head), element("body", *body), lang="en")
    atomic.write_text(path, f"<!doctype html>\n{page}\n")


def section(title: str, *content: Html | None) -> Html | None:
    """A section with a heading; `None` where there is no content."""
    content = tuple(part for part in content if part)
    return element("section", element("h2", title), *content) if content else None


def pair(contents: Mapping[str, Html | None]) -> Html | None:
    """Headed contents side by side where there is room; `None` where there is no content."""
    blocks = [
        element("div", element("h2", title), content)
        for title, content in contents.items()
        if content
    ]
    return element("section", *blocks, class_="pair") if blocks else None


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], **attributes: Any) -> Html:
    """A table in a frame that scrolls where the screen is too narrow for it."""
    written = [element("tr", *[_cell(entry) for entry in row]) for row in rows]
    first = element("tr", *[element("th", entry, scope="col") for entry in head])
    body = join(element("thead", first), element("tbody", *written))
    return element("div", element("table", body, **attributes), class_="scroll")


def _cell(entry: Any) -> Html:
    return entry if isinstance(entry, Html) and entry.startswith("<td") else element("td", entry)


def listing(mapping: Mapping[str, Any], *, value_class: str | None = None) -> Html | None:
    """Names and values, nested names joined by dots and secrets masked; `None` if empty."""
    pairs = [
        join(element("dt", name), element("dd", value, class_=value_class))
        for name, value in entries(mapping).items()
    ]
    return element("dl", *pairs) if pairs else None


def picture(caption: str, image: bytes | str | PathLike[str]) -> Html:
    """A PNG inside the page, with its caption; what cannot be read is said in its place."""
    try:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
    except OSError as error:
        return element("figure", element("figcaption", f"{caption} ({image}: {error.strerror})"))
    if not data.startswith(SIGNATURE):
        return element("figure", element("figcaption", f"{caption} (not a PNG file)"))
    source = raw("data:image/png;base64," + base64.b64encode(data).decode("ascii"))
    return element(
        "figure", element("img", src=source, alt=caption), element("figcaption", caption)
    )
