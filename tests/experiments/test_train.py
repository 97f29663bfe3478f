# SPDX-License-Identifier: Apache-2.0
"""Laws of where a run is kept."""

from pathlib import Path

import pytest

from experiments import command, train


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
