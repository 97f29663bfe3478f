# SPDX-License-Identifier: Apache-2.0
"""What makes two runs the same run: a resume onto anything else is refused."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def differences(saved: Any, present: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every path at which two JSON values differ, with a line that shows both."""
    if isinstance(saved, Mapping) and isinstance(present, Mapping):
        for name in sorted({*saved, *present}):
            inner = f"{path}.{name}" if path else str(name)
            if name not in present:
                yield inner, f"{inner}: {saved[name]!r} in the run, absent now"
            elif name not in saved:
                yield inner, f"{inner}: absent in the run, {present[name]!r} now"
            else:
                yield from differences(saved[name], present[name], inner)
    elif type(saved) is not type(present) or saved != present:
        yield path, f"{path}: {saved!r} in the run, {present!r} now"


def refused(saved: Any, present: Any, allow: Iterable[str]) -> tuple[list[str], list[str]]:
    """The lines of all differences: those that nobody allowed, and those that were.

    `allow` names paths; a name allows everything below it.
    """
    bad, good = [], []
    for path, line in differences(saved, present):
        allowed = any(path == name or path.startswith(f"{name}.") for name in allow)
        (good if allowed else bad).append(line)
    return bad, good
