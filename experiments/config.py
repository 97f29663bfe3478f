# SPDX-License-Identifier: Apache-2.0
"""The configuration of an experiment as a file: a frozen dataclass <-> JSON, exact both ways.

The file is `{"config": {...}, "experiment": NAME, "version": 1}`. It holds data and never names
code: the experiment is looked up, and every value is judged by `experiments.options`.
"""

import contextlib
import dataclasses
import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from experiments.options import ConfigError, conform, fields, nested, printable, quote

VERSION = 1
MAX_BYTES = 1_000_000
MAX_DEPTH = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NO_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[^][{}"]+', re.DOTALL)  # strings, all between

C = TypeVar("C")


def dump(config: Any) -> str:
    """The resolved configuration as JSON: sorted keys, every option, equal bytes for equal values.

    Raises:
      ConfigError: a value that was set in Python breaks the rules of its option.
    """
    document = {
        "config": dataclasses.asdict(build(type(config), dataclasses.asdict(config))),
        "experiment": name_of(type(config)),
        "version": VERSION,
    }
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def load(text: str | bytes, config_type: type[C], *, source: str = "config.json") -> C:
    """Reads what `dump` wrote. Every option must be there, so no default drifts under an old run.

    Args:
      text: at most 1 MB of JSON, 32 levels deep.
      config_type: the dataclass of the experiment that the text names.
      source: the file's name, for the message.

    Raises:
      ConfigError: one line with the file, the key and what was expected there.
    """
    with _within(source):
        document = _document(text)
        if document["experiment"] != name_of(config_type):
            raise ConfigError(
                f"experiment: expected {name_of(config_type)}, got {document['experiment']}"
            )
        return build(config_type, document["config"])


def experiment_name(text: str | bytes, *, source: str = "config.json") -> str:
    """The name of the experiment that a configuration belongs to, to be looked up in a registry.

    Raises:
      ConfigError: the text is no configuration, or the name is not a plain one.
    """
    with _within(source):
        return _document(text)["experiment"]


def read(path: str | os.PathLike[str]) -> bytes:
    """Reads a configuration file, one byte past the limit at most.

    Raises:
      ConfigError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "not the name of a file"
        raise ConfigError(f"{printable(os.fspath(path))}: {reason}") from None


def fingerprint(config: Any) -> str:
    """The sha256 of the resolved configuration, in hexadecimal."""
    return hashlib.sha256(dump(config).encode()).hexdigest()


def name_of(config_type: type) -> str:
    """An experiment bears the name of the module that defines its dataclass."""
    return config_type.__module__.rpartition(".")[2]


def build(config_type: type[C], tree: Any, path: str = "config") -> C:
    """Fills a dataclass from a mapping that names all of its fields and nothing else.

    Raises:
      ConfigError: a key is unknown or missing, or refuses its value.
    """
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{path}: expected an object, got {quote(tree)}")
    kinds = fields(config_type)
    for key in tree:
        if key not in kinds:
            raise ConfigError(f"{path}.{printable(key)}: unknown key{suggestion(key, kinds)}")
    values = {}
    for name, kind in kinds.items():
        if name not in tree:
            raise ConfigError(f"{path}.{name}: missing (a resolved file names every option)")
        judge = build if nested(kind) else conform
        values[name] = judge(kind, tree[name], f"{path}.{name}")
    return config_type(**values)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Ends the message about an unknown word: the nearest known one, or else all of them."""
    names = list(known)
    nearest = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.5)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    return f"; known: {', '.join(names)}" if names else "; there are no options"


@contextlib.contextmanager
def _within(source: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{printable(source)}: {error}") from None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, repeated keys included."""


def _document(text: str | bytes) -> dict[str, Any]:
    """Parses and checks everything around the options."""
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"expected at most {MAX_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}") from None
    depth = 0
    for bracket in _NO_BRACKET.sub("", text):  # before the parser, which recurses
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ConfigError(f"expected at most {MAX_DEPTH} levels of nesting")
    try:
        parsed = json.loads(text, object_pairs_hook=_Pairs, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno}: not JSON: {error.msg}") from None
    document = _unique(parsed, "")
    if not isinstance(document, dict):
        raise ConfigError("expected a JSON object")
    known = ("config", "experiment", "version")
    for key in document:
        if key not in known:
            raise ConfigError(f"{printable(key)}: unknown key{suggestion(key, known)}")
    for key in known:
        if key not in document:
            raise ConfigError(f"{key}: missing")
    name, version = document["experiment"], document["version"]
    if type(version) is not int or version != VERSION:
        raise ConfigError(f"version: expected {VERSION}, got {quote(version)}")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(f"experiment: expected a plain name, got {quote(name)}")
    return document


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else float(digits)  # int() refuses 4301 digits


def _unique(value: Any, path: str) -> Any:
    """Turns written objects into dictionaries and refuses a key that occurs twice."""
    if isinstance(value, _Pairs):
        result = {}
        for key, item in value:
            inner = f"{path}.{printable(key)}".lstrip(".")
            if key in result:
                raise ConfigError(f"{inner}: key given twice")
            result[key] = _unique(item, inner)
        return result
    return [_unique(item, path) for item in value] if isinstance(value, list) else value
