# SPDX-License-Identifier: Apache-2.0
"""What an option may hold: its kind, its range, and the one line by which it is refused."""

import dataclasses
import json
import math
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

LONGEST = 1000  # characters of a text, values of a tuple: a resolved file stays far below 1 MB
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class ConfigError(ValueError):
    """A refused configuration: one printable line, the key first, then what was expected."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number: `least <= x <= most` and `above < x < below`."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, x: float) -> bool:
        return self.least <= x <= self.most and self.above < x < self.below

    def __str__(self) -> str:
        signs = {"least": ">=", "above": ">", "most": "<=", "below": "<"}
        bounds = {name: getattr(self, name) for name in signs}
        return " and ".join(f"{signs[k]} {b:g}" for k, b in bounds.items() if math.isfinite(b))


Count = Annotated[int, Range(least=1)]
"""How many, at least one: steps, a batch size, a width."""
Natural = Annotated[int, Range(least=0)]
"""How many, possibly none: a seed, warm-up steps."""
Positive = Annotated[float, Range(above=0)]
"""A learning rate, a temperature, a standard deviation."""
NonNegative = Annotated[float, Range(least=0)]
"""A weight of a cost."""
Fraction = Annotated[float, Range(least=0, most=1)]
"""A part of a whole, both ends included."""
Decay = Annotated[float, Range(least=0, below=1)]
"""The decay of a moving average: 1 would never move."""


def quote(value: Any) -> str:
    """Shows a value from outside in at most 60 printable ASCII characters."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def printable(name: str) -> str:
    """Shows a name from outside plainly where it is plain, and quoted where it is not."""
    plain = re.fullmatch(r"[A-Za-z0-9._/~-]{1,200}", name, re.ASCII)
    return name if plain else quote(name)


def fields(config_type: type) -> dict[str, Any]:
    """The annotation of every field, in the order of declaration."""
    hints = get_type_hints(config_type, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def nested(annotation: Any) -> bool:
    """Whether a field holds a dataclass of its own options."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def optional(annotation: Any) -> tuple[Any, bool]:
    """Splits `X | None` into `X` and whether None was allowed."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    rest = [kind for kind in get_args(annotation) if kind is not types.NoneType]
    if len(rest) != 1:
        raise TypeError(f"an option has one kind, or one kind and None, not {annotation}")
    return rest[0], True


def conform(annotation: Any, value: Any, path: str) -> Any:
    """Gives the value as its annotation wants it, never coerced except an integer to a float.

    Args:
      annotation: int, float, bool, str, `Literal`, a tuple of those, any of them with `Range` in
        `Annotated` or `| None`.
      value: what a JSON reader gives for it.
      path: the name of the key, for the message.

    Raises:
      ConfigError: the value is of another kind, out of range, too long or not printable.
      TypeError: the annotation is none of the above.
    """
    annotation, may_be_none = optional(annotation)
    if value is None and may_be_none:
        return None
    bounds = Range()
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        bounds = next((extra for extra in extras if isinstance(extra, Range)), bounds)
    if get_origin(annotation) is tuple:
        return _tuple(get_args(annotation), value, path)
    if get_origin(annotation) is Literal:
        accepted = any(type(value) is type(word) and value == word for word in get_args(annotation))
        expected = "one of " + ", ".join(map(str, get_args(annotation)))
    elif annotation is bool:
        accepted, expected = isinstance(value, bool), "true or false"
    elif annotation is str:
        # Control characters, lone surrogates and bidirectional marks would reach the terminal.
        accepted = isinstance(value, str) and value.isprintable() and len(value) <= LONGEST
        expected = f"printable text of at most {LONGEST} characters"
    elif annotation in (int, float):
        value, accepted = _number(annotation, value, bounds)
        kind = "an integer" if annotation is int else "a finite number"
        expected = f"{kind} {bounds}".rstrip()
    else:
        raise TypeError(f"{path}: an option cannot be of kind {annotation}")
    if not accepted:
        raise ConfigError(f"{path}: expected {expected}, got {quote(value)}")
    return value


def _number(kind: type, value: Any, bounds: Range) -> tuple[Any, bool]:
    """The number as its kind and whether it is acceptable; True is an int to Python, not here."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value, False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # no array holds a wider one
        return value, False
    if kind is float:
        value = float(value)
    return value, isinstance(value, kind) and math.isfinite(value) and value in bounds


def _tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{path}: expected a list of values, got {quote(value)}")
    if len(value) > LONGEST:
        raise ConfigError(f"{path}: expected at most {LONGEST} values, got {len(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{path}: expected {len(kinds)} values, got {len(value)}")
    return tuple(
        conform(kind, item, f"{path}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def from_words(annotation: Any, words: Sequence[str], path: str) -> Any:
    """Reads the words after an option on the command line as a JSON reader would give the value.

    Numbers are spelled as in JSON: `010`, `1_000`, `nan` and `no` are not numbers.

    Raises:
      ConfigError: there are no words, or several where one value belongs.
    """
    annotation, may_be_none = optional(annotation)
    if may_be_none and list(words) == ["None"]:
        return None
    if get_origin(annotation) is tuple:
        kind, *others = get_args(annotation) or (str,)
        kinds = [kind] * len(words) if others[-1:] == [Ellipsis] else [kind, *others]
        kinds += [str] * (len(words) - len(kinds))
        return [_word(each, word) for each, word in zip(kinds, words, strict=False)]
    if len(words) != 1:
        raise ConfigError(f"{path}: expected one value, got {len(words)}")
    return _word(annotation, words[0])


def _word(annotation: Any, word: str) -> Any:
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if kind is bool:  # only in tuples and beside None; a plain bool is a flag
        return {"True": True, "False": False}.get(word, word)
    if kind not in (int, float) or not _NUMBER.fullmatch(word) or len(word) > 400:
        return word
    return int(word) if _INTEGER.fullmatch(word) else float(word)
