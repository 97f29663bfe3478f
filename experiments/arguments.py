# SPDX-License-Identifier: Apache-2.0
"""The configuration of an experiment from the command line: `--option value`, judged strictly.

tyro writes the `--help` and does not read values: it takes `010`, `1_000`, `nan` and a repeated
option without a word, and its answers are boxes where ours are one line.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_origin

from experiments.config import build, suggestion
from experiments.options import (
    ConfigError,
    conform,
    fields,
    from_words,
    nested,
    optional,
    printable,
    quote,
)

C = TypeVar("C")


def parse(base: type[C] | C, argv: Sequence[str]) -> C:
    """Reads `--option value`, `--group.option value`, `--option a b c`, `--flag`, `--no-flag`.

    Args:
      base: the dataclass, or an instance whose values stand where the command line is silent.
      argv: the words after the experiment's name.

    Raises:
      ConfigError: an option is unknown, repeated, missing, or refuses its value.
    """
    return parse_each([base], argv)[0]


def parse_each(bases: Sequence[Any], argv: Sequence[str]) -> tuple[Any, ...]:
    """Reads one command line into several dataclasses (or instances) whose options are disjoint.

    Raises:
      ConfigError: as `parse`.
      TypeError: two of them share an option.
    """
    tables = [dict(_leaves(base if isinstance(base, type) else type(base))) for base in bases]
    table = {key: kind for each in tables for key, kind in each.items()}
    if len(table) < sum(map(len, tables)):
        raise TypeError("two dataclasses on one command line share an option")
    given: dict[str, Any] = {}
    for option, words in _options(argv):
        key, value = _read(table, option, words)
        if key in given:
            raise ConfigError(f"{option}: given twice")
        given[key] = value
    return tuple(_override(base, each, given) for base, each in zip(bases, tables, strict=True))


def usage(base: Any, prog: str) -> str:
    """The text of `--help`: every option with its kind, default and docstring."""
    import tyro  # 0.1 s that only --help needs

    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        if isinstance(base, type):
            tyro.cli(base, prog=prog, args=["--help"])
        else:
            tyro.cli(type(base), prog=prog, args=["--help"], default=base)
    return page.getvalue()


def _leaves(config_type: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option of a dataclass by its dotted key."""
    for name, kind in fields(config_type).items():
        if nested(kind):
            yield from _leaves(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", kind


def _options(argv: Sequence[str]) -> Iterator[tuple[str, list[str] | None]]:
    """Groups the words behind their options; None where there is not one."""
    option: str | None = None
    words: list[str] | None = None
    for word in argv:
        if word.startswith("--"):
            if option is not None:
                yield option, words
            option, equals, rest = word.partition("=")
            words = [rest] if equals else None
        elif option is None:
            raise ConfigError(f"{quote(word)}: expected an option, spelled --name value")
        else:
            words = [*(words or []), word]
    if option is not None:
        yield option, words


def _read(table: Mapping[str, Any], option: str, words: list[str] | None) -> tuple[str, Any]:
    """The key that an option sets, and the value it sets there."""
    key = option.removeprefix("--").replace("-", "_")
    group, dot, last = key.rpartition(".")
    flag = f"{group}{dot}{last.removeprefix('no_')}"  # --no-flag, --group.no-flag
    if table.get(key) is bool or (key not in table and table.get(flag) is bool):
        if words is not None:
            raise ConfigError(f"{option}: expected no value (a flag is --name or --no-name)")
        return (key, True) if key in table else (flag, False)
    if key not in table:
        hint = suggestion(_spelled(key), map(_spelled, table))
        raise ConfigError(f"{printable(option)}: unknown option{hint}")
    kind = table[key]
    if words is None and get_origin(optional(kind)[0]) is not tuple:
        raise ConfigError(f"{option}: expected a value")
    return key, conform(kind, from_words(kind, words or [], option), option)


def _spelled(key: str) -> str:
    return "--" + key.replace("_", "-")


def _override(base: Any, table: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The dataclass with the given values over the base's."""
    tree = _defaults(base) if isinstance(base, type) else dataclasses.asdict(base)
    for key in table:
        *groups, last = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        if key in given:
            branch[last] = given[key]
        elif last not in branch:
            raise ConfigError(f"{_spelled(key)}: required")
    return build(base if isinstance(base, type) else type(base), tree)


def _defaults(config_type: type) -> dict[str, Any]:
    """What a dataclass fills in by itself."""
    tree: dict[str, Any] = {}
    for field in dataclasses.fields(config_type):
        value = field.default
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        if value is not dataclasses.MISSING:
            tree[field.name] = dataclasses.asdict(value) if nested(type(value)) else value
    return tree
