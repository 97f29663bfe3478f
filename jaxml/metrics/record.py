# SPDX-License-Identifier: Apache-2.0
"""Evidence as JSON and back, strictly: what is read was written by anybody."""

import math
from dataclasses import fields
from typing import Any

from jaxml.metrics.evidence import Evidence, Kind, Unit

NUMBER = (int, float)
TYPES: dict[str, tuple[type, ...]] = {
    "value": NUMBER,
    "unit": (str,),
    "kind": (str,),
    "n": (int,),
    "standard_error": (*NUMBER, type(None)),
    "quantity": (str,),
    "higher_is_better": (bool,),
    "samples": (int, type(None)),
    "dim": (int, type(None)),
    "levels": NUMBER,
    "protocol": (dict,),
    "family": (str,),
}
SCALAR = (str, bool, *NUMBER)
WORDS = {str: "text", bool: "true or false", int: "an integer", float: "a number",
         dict: "an object", type(None): "null"}  # fmt: skip


def to_json(evidence: Evidence) -> dict[str, Any]:
    """A JSON object with every field under its name: `from_json(to_json(e)) == e`."""
    entries = {field.name: getattr(evidence, field.name) for field in fields(Evidence)}
    entries["unit"], entries["kind"] = evidence.unit.value, evidence.kind.value
    entries["protocol"] = dict(evidence.protocol)
    return entries


def from_json(entries: Any) -> Evidence:
    """Evidence from a JSON object; the inverse of `to_json`.

    Raises:
      ValueError: naming the key, if one is unknown or missing, or its value is of the wrong type,
        not finite, or contradicts another.
    """
    if not isinstance(entries, dict):
        raise ValueError(f"evidence: expected an object, got {type(entries).__name__}")
    for name in entries:
        if name not in TYPES:
            raise ValueError(f"evidence: unknown key {name!r}; known are {', '.join(TYPES)}")
    for name in ("value", "unit", "kind", "n"):
        if name not in entries:
            raise ValueError(f"evidence: the key {name!r} is missing")
    fields = {name: _checked(name, entry, TYPES[name]) for name, entry in entries.items()}
    for name, entry in fields.get("protocol", {}).items():
        _checked(f"protocol.{name}", entry, SCALAR)
    for name in {"value", "standard_error", "levels"} & set(fields):
        fields[name] = None if fields[name] is None else float(fields[name])
    fields["unit"] = _member("unit", fields["unit"], Unit)
    fields["kind"] = _member("kind", fields["kind"], Kind)
    return Evidence(**fields)


def _checked(name: str, entry: Any, types: tuple[type, ...]) -> Any:
    """The entry itself, if it is of one of the types; True is not an integer here."""
    if type(entry) not in types:
        expected = " or ".join(dict.fromkeys(WORDS[t] for t in types))
        raise ValueError(f"evidence: expected {name} to be {expected}, got {entry!r:.80}")
    if isinstance(entry, float) and not math.isfinite(entry):
        raise ValueError(f"evidence: expected {name} to be finite, got {entry}")
    if isinstance(entry, int) and abs(entry) >= 2**63:
        raise ValueError(f"evidence: expected {name} to fit into 64 bits, got a larger integer")
    return entry


def _member(name: str, word: str, enum: Any) -> Any:
    words = [member.value for member in enum]
    if word not in words:
        among = ", ".join(words)
        raise ValueError(f"evidence: expected {name} to be one of {among}, got {word!r:.80}")
    return enum(word)
