# SPDX-License-Identifier: Apache-2.0
"""Every experiment runs at its tiny size, from the first step to the report, within a minute."""

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.experiment import NAMES, find
from jaxml.data import DataError

HOUSE = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_module_offers_beside_build_is_called_as_promised(name):
    """`panels` takes the columns, `plot` and `findings` one thing more; other names are free."""
    module = find(name)
    for hook, given in (("panels", [{}]), ("plot", [{}, HOUSE]), ("findings", [{}, {}])):
        if hasattr(module, hook):
            inspect.signature(getattr(module, hook)).bind(*given)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_run_ends_with_evidence_and_a_report(name, tmp_path):
    """In a process of its own, as a user starts it; the evaluation of what it left agrees."""
    module = find(name)
    try:
        module.build(module.Config(**module.TINY), None)
    except DataError as error:
        pytest.skip(str(error))
    run = tmp_path / "run"
    began = time.monotonic()
    words = ["train", name, "--tiny", "--run-dir", str(run)]
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *words], cwd=HOUSE, capture_output=True, text=True
    )
    took = time.monotonic() - began
    print(f"{name}: {took:.0f} s")
    assert done.returncode == 0, done.stderr
    assert took < 60
    result = json.loads((run / "result.json").read_text())
    assert result["evidence"]
    assert result["step"] == module.TINY["steps"]
    assert "<svg" in (run / "report.html").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "experiments", "evaluate", str(run)],
        cwd=HOUSE, capture_output=True, text=True,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if not line.startswith("report: ")]
    assert again.stdout.splitlines()[1:] == told
