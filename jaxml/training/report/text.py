# SPDX-License-Identifier: Apache-2.0
"""Text from anywhere, made fit to be shown: no control characters, no secrets."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MASK = "•••"
LIMIT = 10_000  # characters of one text: more is for a file, not for a page

_SECRET = r"(?:token|secret|password|passwd|credential|api[_-]?key|private)"  # noqa: S105 - names
_NAMES_SECRET = re.compile(_SECRET, re.IGNORECASE)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s&"']+)"""
_PATTERNS = (  # each begins where no name can have begun before: no text takes quadratic time
    (r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://)[^/\s?#]*@", rf"\1{MASK}@"),
    (rf"((?<![\w-])[\w-]*{_SECRET}[\w-]*+[\"']?\s*[=:]\s*){_VALUE}", rf"\1{MASK}"),
    (rf"((?<![\w-])--?[\w-]*{_SECRET}[\w-]*+\s+)(?!-){_VALUE}", rf"\1{MASK}"),
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)


def clean(text: Any) -> str:
    """The text without terminal escapes, control, direction and other invisible characters.

    Line breaks and tabs stay. What is left is what a reader sees, in the order of its bytes: a
    right-to-left override can make a name read as another.
    """
    without = _ESCAPES.sub("", str(text))
    return "".join(c for c in without if c in "\n\t" or unicodedata.category(c) not in _HIDDEN)


_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def masked(text: Any) -> str:
    """The cleaned text with the values of secrets replaced by dots.

    Secrets are the user part of a URL, and what is given to a name with `token`, `secret`,
    `password`, `passwd`, `credential`, `api_key` or `private` in it, as an option, an assignment
    or an entry. What is longer than `LIMIT` is cut.
    """
    seen = clean(str(text)[: LIMIT + 1])
    seen = seen if len(seen) <= LIMIT else f"{seen[: LIMIT - 1]}…"
    for pattern, replacement in _PATTERNS:
        seen = re.sub(pattern, replacement, seen, flags=re.IGNORECASE)
    return seen


def entries(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as `{"a.b": text}`, the values under a secret name replaced by dots.

    A number of `tokens` is no secret.
    """
    found: dict[str, str] = {}
    for key, value in mapping.items():
        name = prefix + clean(key)
        counts = isinstance(value, int | float) and not _NAMES_SECRET.search(
            re.sub("tokens", "", name, flags=re.IGNORECASE)
        )
        if _NAMES_SECRET.search(name) and not counts:
            found[masked(name)] = MASK
        elif isinstance(value, Mapping) and value:
            found |= entries(value, f"{name}.")
        else:
            found[masked(name)] = masked(shown(value))
    return found


def shown(value: Any) -> str:
    """A value as a person writes it: `true`, `none`, `1e-3` as 0.001, `784, 512`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items()) or "empty"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(entry) for entry in value) or "empty"
    return str(value)
