# SPDX-License-Identifier: Apache-2.0
"""Laws of what a run writes when it ends."""

import json

import numpy as np
import pytest

from experiments.outcome import environment, keep, last, tell
from jaxml.metrics import Evidence, Kind, Unit


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([1, 2]), 2.0),  # the steps of a log are int64
        (np.array([0.5, np.nan], np.float32), None),
        (np.array([[1.0, 2.0], [np.inf, 3.0]]), [None, 3.0]),
    ],
)
def test_the_last_value_is_json_whatever_its_dtype(column, expected):
    """Whole numbers, vectors and values that are not finite all survive a strict writer."""
    assert json.loads(json.dumps(last(column), allow_nan=False)) == expected


def test_the_number_of_threads_is_told(monkeypatch):
    """NPROC decides if it is set, as it does for XLA; otherwise the cores that may be used."""
    monkeypatch.setenv("NPROC", "3")
    assert environment()["threads"] == "3"
    monkeypatch.delenv("NPROC")
    assert int(environment()["threads"]) >= 1


def test_the_family_is_told_where_there_are_several(capsys):
    """A line each; of one family the name would say nothing."""

    def accuracy(value, family):
        about = {"unit": Unit.NUMBER, "kind": Kind.EXACT, "n": 10, "quantity": "accuracy"}
        return Evidence(value=value, family=family, **about)

    tell([accuracy(0.5, "adam"), accuracy(0.25, "sgd")])
    tell([accuracy(0.5, "adam")])
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "accuracy, adam: 0.5 (exact, n = 10)",
        "accuracy, sgd: 0.25 (exact, n = 10)",
        "accuracy: 0.5 (exact, n = 10)",
    ]


def test_the_pictures_of_the_last_step_are_kept_as_final_ones(tmp_path):
    """Each under its name, bit for bit, and those of no other step."""
    samples = tmp_path / "samples"
    samples.mkdir()
    for name in ("step-0000010-samples.png", "step-0000020-samples.png", "step-0000020-walk.png"):
        (samples / name).write_bytes(name.encode())
    keep(tmp_path, 20)
    finals = {path.name: path.read_bytes() for path in samples.glob("final-*")}
    assert finals == {
        "final-samples.png": b"step-0000020-samples.png",
        "final-walk.png": b"step-0000020-walk.png",
    }
