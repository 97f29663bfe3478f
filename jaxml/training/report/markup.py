# SPDX-License-Identifier: Apache-2.0
"""HTML as values: every text is escaped unless it is HTML by its type."""

import html
from typing import Any

from jaxml.training.report.text import masked

VOID = {"img", "meta", "br"}


class Html(str):
    """Text that is HTML already, because `element` made it."""

    __slots__ = ()


def element(tag: str, /, *children: Any, **attributes: Any) -> Html:
    """`<tag attribute="...">children</tag>`.

    Children that are not `Html` are shown as text: cleaned, masked and escaped. So are attributes;
    `class_` is the attribute `class`, an underscore inside a name a hyphen, and `None` leaves the
    attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: Any) -> Html:
    """The children one after another, each escaped unless it is `Html`; `None` is nothing."""
    return Html("".join(_escaped(child) for child in children if child is not None))


def raw(text: str) -> Html:
    """Trusted text as HTML: style sheets and numbers that this package wrote itself."""
    return Html(text)


def _escaped(child: Any) -> str:
    return child if isinstance(child, Html) else html.escape(masked(child))


def _plain(value: Any) -> str:
    return value if isinstance(value, Html) else masked(value)
