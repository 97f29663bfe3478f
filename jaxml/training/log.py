# SPDX-License-Identifier: Apache-2.0
"""`metrics.jsonl`: one JSON object a step, and the way back to arrays."""

import io
import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

import numpy as np

WORDS = {"nan": "null", "inf": '"Infinity"', "-inf": '"-Infinity"'}
"""JSON knows no such numbers: NaN, the value of an idle step, is null; infinities are strings."""

WRONG = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a line that is no metrics object may raise on its way to numbers."""


def append(file: TextIO | io.TextIOBase, step: int, metrics: Mapping[str, Any]) -> None:
    """Write a chunk of steps, one line `{"step": 7, "loss": 0.25, ...}` each, in one call.

    Numbers are written with the fewest digits that give back the same number of their own dtype.

    Args:
      file: open for appending (`jaxml.training.storage.atomic.open_at`).
      step: the last step of the chunk.
      metrics: by name, `(n, ...)` the values at the steps `step − n + 1, ..., step`, all of the
        same n; or a single number, which is filed under the last step alone.

    Raises:
      ValueError: if the metrics disagree about n, one is named `step`, or there are more steps
        than `step`.
    """
    columns = {name: np.asarray(value) for name, value in metrics.items()}
    lengths = {len(column) for column in columns.values() if column.ndim}
    if "step" in columns:
        raise ValueError("metrics: 'step' names the step itself")
    if len(lengths) > 1:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        raise ValueError(f"metrics: expected as many steps in each, got {shapes}")
    n = lengths.pop() if lengths else 1
    if n > step:
        raise ValueError(f"metrics: {n} steps cannot end at step {step}")
    parts = [[f'{{"step": {i}' for i in range(step - n + 1, step + 1)]]
    for name, column in columns.items():
        key = f", {json.dumps(name)}: "
        shown = _shown(column) if column.ndim else [""] * (n - 1) + _shown(column[None])
        parts.append([key + value if value else "" for value in shown])
    file.write("".join("".join(line) + "}\n" for line in zip(*parts, strict=True)))


def read(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The columns of a log, `step` (int64) among them; a step that lacks a metric has NaN.

    Raises:
      ValueError: naming the file, and the line that is no object of numbers with a step or the
        metric that changes its shape.
      OSError: if the file cannot be read.
    """
    steps: list[int] = []
    found: dict[str, tuple[list[int], list[Any]]] = {}
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line, parse_constant=_number)
                steps.append(int(row.pop("step")))
                for name, value in row.items():
                    indices, values = found.setdefault(name, ([], []))
                    values.append(value if type(value) is float else _number(value))
                    indices.append(len(steps) - 1)
            except WRONG as error:
                why = "expected an object of numbers with an integer step"
                raise ValueError(f"{path}: line {number}: {why} ({error})") from None
    columns = {"step": np.asarray(steps, np.int64)}
    for name, (indices, values) in found.items():
        if len({np.shape(value) for value in values}) > 1:
            raise ValueError(f"{path}: metric {name!r} changes its shape")
        columns[name] = np.full((len(steps), *np.shape(values[0])), np.nan)
        columns[name][indices] = values
    return columns


def _shown(column: np.ndarray) -> list[str]:
    """Each entry of the leading axis as JSON text."""
    if column.ndim > 1:
        return [f"[{', '.join(_shown(row))}]" for row in column]
    if column.dtype == bool:
        column = column.astype(np.int8)
    elif column.dtype.kind not in "iuf":  # bfloat16 and its kin are unknown to numpy's printer
        column = column.astype(np.float32)
    if column.dtype == np.float64 or column.dtype.kind in "iu":
        words = [str(entry) for entry in column.tolist()]
    else:  # as a Python float, the float32 nearest to 0.1 would read 0.10000000149011612
        words = column.astype(str).tolist()
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        return [WORDS.get(word, word) for word in words]
    return words


def _number(value: Any) -> Any:
    """A JSON value as a float or nested lists of floats; the inverse of `_shown`."""
    if isinstance(value, list):
        return [_number(entry) for entry in value]
    if value is None:
        return math.nan
    if value in ("Infinity", "-Infinity"):
        return math.copysign(math.inf, -1 if value[0] == "-" else 1)
    if type(value) not in (int, float):
        raise ValueError(f"{value!r:.40} is not a number")
    return float(value)
