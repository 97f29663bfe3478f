# SPDX-License-Identifier: Apache-2.0
"""Laws of where a run is kept and to whom it is told."""

from pathlib import Path

import numpy as np
import pytest

from experiments import command, train
from jaxml.training import log


@pytest.mark.parametrize("words", [[], ["--run-dir", "runs/first"], ["--run-dir", "./runs/first"]])
def test_runs_is_made_where_nothing_is_yet(words, tmp_path, monkeypatch):
    """What the README and `make demo` say works in an empty checkout."""
    monkeypatch.chdir(tmp_path)
    entered = []
    monkeypatch.setattr(train, "learn", lambda *args: entered.append(args[4].directory))
    small = ["--tiny", "--width", "4"]
    assert command.run("train", ["vae_digits", *small, *words]) == 0
    assert [place.parent for place in entered] == [tmp_path / "runs"]


def test_no_other_parent_is_made(tmp_path, monkeypatch, capsys):
    """A misspelt parent is an error and no new tree."""
    monkeypatch.chdir(tmp_path)
    assert command.run("train", ["vae_digits", "--tiny", "--run-dir", "rnus/first"]) == 4
    assert "parent directory" in capsys.readouterr().err
    assert list(Path(tmp_path).iterdir()) == []


def test_the_steps_are_told_to_tensorboard(tmp_path, monkeypatch):
    """Each point is the mean of the log's rows since the point before, up to the last step."""
    events = pytest.importorskip("tensorboardX.proto.event_pb2")
    for name in ("look", "conclude"):
        monkeypatch.setattr(train.outcome, name, lambda *args, **options: None)
    words = ["vae_digits", "--tiny", "--steps", "6", "--save-every", "3", "--look-every", "3"]
    words += ["--width", "4", "--run-dir", str(tmp_path / "run")]
    assert command.run("train", words) == 0
    rows = log.read(tmp_path / "run" / "metrics.jsonl")
    (path,) = (tmp_path / "run" / "tensorboard").iterdir()
    data, at, first, seen = path.read_bytes(), 0, 0, set()
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        event = events.Event.FromString(data[at + 12 : at + 12 + length])
        at += length + 16
        for value in event.summary.value:
            column = rows[value.tag][first : event.step]
            np.testing.assert_allclose(value.simple_value, column.mean(), rtol=1e-6)
            seen.add(value.tag)
        first = event.step if event.summary.value else first
    assert first == 6
    assert seen == set(rows) - {"step"}
