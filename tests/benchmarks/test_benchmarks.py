# SPDX-License-Identifier: Apache-2.0
"""Benchmarks cannot rot: each runs here at the smallest size, without a judgement of its times."""

import importlib
import json

import numpy as np
import pytest

from benchmarks import clock, report, table
from benchmarks.__main__ import QUESTIONS
from benchmarks.case import TINY
from benchmarks.limits import Limits

LIMITS = Limits(1e9, 1e9, 1e-6)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered(question, tmp_path):
    """Every row names its case, is JSON with the versions, and is found in the table."""
    module = importlib.import_module(f"benchmarks.{question}")
    rows = list(module.lines(TINY, LIMITS, None))
    results = [json.loads(report.line({"question": question, **row})) for row in rows]
    assert results
    for row in results:
        assert {"case", "jax", "device", "revision"} <= set(row)
        assert row["case"] in table.markdown(results)
        assert all(np.isfinite(v) for v in row.values() if isinstance(v, float))
        assert row.get("largest relative difference of a loss", 0) < 1e-5
    table.picture(results, tmp_path / "results.png")
    compared = any(row.get("time / ours", 1.0) != 1.0 for row in results)
    assert (tmp_path / "results.png").exists() == compared


def test_rounds_are_interleaved_and_complete():
    """Every case runs once a round, no case twice before all have run."""
    calls = []
    cases = {name: lambda name=name: calls.append(name) or 1.0 for name in "abc"}
    times = clock.in_turn(cases, 5)
    assert all(len(t) == 5 for t in times.values())
    for i in range(5):
        assert sorted(calls[3 * i : 3 * i + 3]) == ["a", "b", "c"]
