# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says of itself: format version, step, score, digest, leaves, metadata."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jaxml.training.storage.directory import CheckpointError, reason
from jaxml.training.storage.manifest import DamagedError

FILE = "metadata.json"
FORMAT = "jaxml-checkpoint"
VERSION = 1  # later versions keep the manifest as it is, so that damage and novelty are told apart
LIMIT = 64 * 2**20  # bytes; a leaf takes about 100


class Header(NamedTuple):
    """The facts in `metadata.json`.

    Attributes:
      step: how many steps the saved tree has seen.
      best: the score of the step, lower is better; `None` if it was not measured.
      digest: `leaves.digest` of the saved tree.
      leaves: kind, dtype and shape of every leaf under its path, as `str(leaves.Spec)`.
      metadata: what the caller wanted to remember.
    """

    step: int
    best: float | None
    digest: str
    leaves: dict[str, str]
    metadata: dict[str, Any]


def dumps(header: Header) -> str:
    """The header as JSON.

    Raises:
      TypeError, ValueError: if the metadata cannot be expressed in JSON; NaN cannot.
    """
    facts = {"format": FORMAT, "version": VERSION, **header._asdict()}
    return json.dumps(facts, indent=1, allow_nan=False) + "\n"


def read(root: Path) -> Header:
    """The header of the checkpoint in `root`, whose manifest has been checked.

    Raises:
      DamagedError: if it is missing or not what `dumps` writes.
      CheckpointError: if the format version is newer than this library's.
    """
    path = root / FILE
    try:
        if path.is_symlink() or path.stat().st_size > LIMIT:
            raise ValueError(f"is a symbolic link or longer than {LIMIT} bytes")
        facts = json.loads(path.read_bytes(), object_pairs_hook=_once, parse_constant=_refuse)
        if facts.pop("format") != FORMAT:
            raise ValueError(f"is not of format {FORMAT}")
        version = facts.pop("version")
        if type(version) is not int or version < 1:
            raise ValueError(f"format version {version!r} is unknown")
        if version > VERSION:
            why = f"format version {version} is newer than {VERSION}: a newer jaxml can read it"
            raise CheckpointError(path, why)
        return _checked(Header(**facts))
    except PermissionError as error:
        raise CheckpointError(path, f"cannot be read: {reason(error)}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(path, f"is not a checkpoint's metadata: {reason(error)}") from error


def _checked(header: Header) -> Header:
    expected = {"step": int, "best": float | int | None, "digest": str}
    expected |= {"leaves": dict, "metadata": dict}
    for name, value in header._asdict().items():
        if not isinstance(value, expected[name]) or isinstance(value, bool):
            raise ValueError(f"{name} is of another type")
    if not all(isinstance(spec, str) for spec in header.leaves.values()):
        raise ValueError("a leaf is not described by a text")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


__all__ = ["FILE", "VERSION", "Header", "dumps", "read"]
