# SPDX-License-Identifier: Apache-2.0
"""Tables of numbers in comma-separated files."""

import csv
import io
import re
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxml.data.bounded import Path, check_finite, opened
from jaxml.data.error import DataError

MAX_BYTES = 2**30
MAX_COLUMNS = 100_000
MAX_CELL = 1000
MAX_LINE = 2**22  # a line of commas takes eight times its length in memory

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Table(NamedTuple):
    """A table of numbers.

    Attributes:
      columns: The names in the header, or `column_0`, `column_1`, ... without one.
      values: float64 `(rows, columns)`, NaN where a value is missing.
    """

    columns: tuple[str, ...]
    values: np.ndarray


def read_table(
    path: Path,
    *,
    delimiter: str = ",",
    header: bool | None = None,
    missing: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Table:
    """The numbers of a CSV file (RFC 4180, UTF-8).

    Args:
      path: The file.
      delimiter: What separates the cells.
      header: Whether the first line holds names; None decides that it does if one of its cells is
        neither a number nor missing.
      missing: Accept missing values (empty, `?`, `NA`, `nan` and their like) as NaN.
      max_bytes: Refuse larger files.

    Raises:
      DataError: Naming the line and the column of the first cell that is no number, or the first
        line with another number of cells.
    """
    with opened(path, max_bytes) as (file, _):
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        lines = _lines(csv.reader(_bounded(text, path), delimiter=delimiter, strict=True))
        number, first = next(lines, (0, []))
        if not first:
            raise DataError(path, "is empty")
        if len(first) > MAX_COLUMNS:
            raise DataError(path, f"has {len(first)} columns, more than {MAX_COLUMNS}")
        if header is None:
            header = any(cell not in MISSING and not _NUMBER.fullmatch(cell) for cell in first)
        columns = tuple(first) if header else tuple(f"column_{j}" for j in range(len(first)))
        if len(set(columns)) < len(columns):
            twice = next(name for j, name in enumerate(columns) if name in columns[:j])
            raise DataError(path, f"has two columns named {twice[:50]!r}")
        values = array("d")
        if not header:
            _append(values, path, number, columns, first, missing)
        for number, cells in lines:
            _append(values, path, number, columns, cells, missing)
    if not values:
        raise DataError(path, "has a header but no rows")
    table = np.frombuffer(values, np.float64).reshape(-1, len(columns))
    check_finite(path, "the table", table, missing=missing)
    return Table(columns, table)


def _bounded(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """The lines, none of which may outgrow the memory."""
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise DataError(path, f"has a line of {MAX_LINE} characters or more")
        yield line


def _lines(reader) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, stripped, with their numbers counted from 1."""
    for cells in reader:
        if any(cells):
            yield reader.line_num, [cell.strip() for cell in cells]


def _append(
    values: array,
    path: Path,
    number: int,
    columns: tuple[str, ...],
    cells: list[str],
    missing: bool,
) -> None:
    if len(cells) != len(columns):
        raise DataError(path, f"line {number} has {len(cells)} cells, expected {len(columns)}")
    for name, cell in zip(columns, cells, strict=True):
        # float() alone would take "1_000", "infinity" and digits of other scripts.
        if len(cell) < MAX_CELL and _NUMBER.fullmatch(cell) and cell.isascii():
            values.append(float(cell))
        elif cell in MISSING:
            if not missing:
                raise DataError(path, f"line {number} has no value for {name[:50]!r}")
            values.append(float("nan"))
        else:
            raise DataError(path, f"line {number}: {name[:50]!r} is {cell[:50]!r}, not a number")


__all__ = ["MISSING", "Table", "read_table"]
