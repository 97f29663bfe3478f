# SPDX-License-Identifier: Apache-2.0
"""The table of concepts tells the truth: its functions import, its tests exist, no row is lost."""

import ast
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SIZES = {"P": 20, "O": 26, "L": 13, "G": 49}  # rows a section


class Row(NamedTuple):
    name: str
    concept: str
    form: str
    functions: str
    tests: str


def read(text: str) -> list[Row]:
    """The rows of all tables; a bar inside a cell follows a backslash."""
    lines = [line for line in text.splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    cells = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in lines]
    return [Row(*(cell.strip() for cell in each)) for each in cells]


ROWS = read((ROOT / "docs/concepts.md").read_text(encoding="utf-8"))


def names(cell: str) -> list[str]:
    """The names in a cell: between backticks, with commas between them and nothing else."""
    assert re.fullmatch(r"(`[^`]+`(, `[^`]+`)*)?", cell), cell
    return re.findall(r"`([^`]+)`", cell)


def find(path: str):
    """What a dotted path names for a user: what a package exports, before a module of that name."""
    head, *rest = path.split(".")
    found = importlib.import_module(head)
    for part in rest:
        head = f"{head}.{part}"
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(head)
    return found


def test_no_row_is_lost_doubled_or_out_of_order():
    """Every section holds its rows, numbered from 1, each with a concept and a form."""
    expected = [f"{letter}{i + 1}" for letter, size in SIZES.items() for i in range(size)]
    assert [row.name for row in ROWS] == expected
    assert all(row.concept and row.form for row in ROWS)
    assert len({row.concept for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_functions_of_a_row_import_and_its_tests_exist(row):
    """A row with a function has a test, and neither is a name that has moved away."""
    functions, tests = names(row.functions), names(row.tests)
    assert tests or not functions, f"{row.name} names a function and no test"
    for path in functions:
        assert path.startswith("jaxml.")
        assert callable(find(path)), f"{row.name}: {path} is no function"
    for path in tests:
        file, _, name = path.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name.startswith("test_")
        assert name in found, f"{row.name}: {path} does not exist"


def test_a_wrong_table_would_be_noticed():
    """The checks fail on a function that moved, a test that is gone, and prose in a cell."""
    for broken in (
        "| P1 | a | b | `jaxml.numerics.gone` | `tests/test_concepts.py::test_gone` |",
        "| P1 | a | b | `jaxml.gone.log1mexp` | |",
        "| P1 | a | b | `jaxml.numerics.log1mexp` | |",
        "| P1 | a | b | | `tests/test_concepts.py::test_gone` |",
        "| P1 | a | b | | `tests/test_gone.py::test_gone` |",
        "| P1 | a | b | soon | |",
    ):
        (row,) = read(broken)
        with pytest.raises((AssertionError, AttributeError, ImportError, OSError)):
            test_the_functions_of_a_row_import_and_its_tests_exist(row)
    with pytest.raises(TypeError):
        read("| P1 | a | b | a bar | too | many |")
