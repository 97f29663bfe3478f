# SPDX-License-Identifier: Apache-2.0
"""Imports only go down: the floors of the house, enforced by reading every import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOOR_1 = {"layers", "losses", "optimizers", "probability", "bijections", "diffusion", "metrics"}
MAY_IMPORT = {
    "types": set(),
    "numerics": set(),
    "layers": set(),
    "losses": {"probability"},
    "optimizers": set(),
    "probability": set(),
    "bijections": {"layers"},  # to squeeze an image is to unshuffle its pixels
    "diffusion": {"probability"},
    "metrics": {"probability"},
    "nn": FLOOR_1,
    "models": FLOOR_1 | {"nn"},
    "training": FLOOR_1 | {"nn", "models"},
    "data": set(),
}
FILES = sorted((ROOT / "jaxml").rglob("*.py"))


def room(path: Path) -> str:
    """The package (or floor-0 module) that a file belongs to."""
    return path.relative_to(ROOT / "jaxml").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, spelled in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor they reach"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path):
    own = room(path)
    if own == "__init__":
        return
    allowed = MAY_IMPORT[own] | {own, "types", "numerics"}
    for module in imports(path):
        head, *rest = module.split(".")
        if head == "jaxml":
            assert {*rest[:1]} & allowed, f"{path} on floor of {own} imports {module}"
        assert head not in {"experiments", "benchmarks", "tests"}, f"{path} imports {module}"
        if own in FLOOR_1 | {"types", "numerics"}:
            assert head not in {"flax", "optax"}, f"{path}: floor 1 is arrays in, arrays out"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= 300, f"{path} has outgrown one idea"
    assert path.stem not in {"utils", "helpers", "common", "base"}
