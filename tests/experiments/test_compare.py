# SPDX-License-Identifier: Apache-2.0
"""Laws of the commands that read finished runs."""

import json

import pytest

from experiments import command, vae_digits
from experiments.config import dump
from jaxml.metrics import Evidence, Kind, Unit, to_json


def run(directory, value, samples):
    """A finished run with one piece of evidence."""
    directory.mkdir()
    (directory / "config.json").write_text(dump(vae_digits.Config(seed=samples)))
    (directory / "metrics.jsonl").write_text('{"step": 1, "learn/loss": 2.5}\n')
    item = Evidence(
        value=float(value),
        standard_error=0.5,
        unit=Unit.NATS,
        kind=Kind.LOWER_BOUND,
        n=10,
        samples=samples,
        protocol={"data": "digits"},
    )
    (directory / "result.json").write_text(json.dumps({"evidence": [to_json(item)]}))
    return str(directory)


def test_like_numbers_share_a_column_and_unlike_ones_do_not(tmp_path, capsys):
    """The better of two like numbers is marked; the reason for a third column is told."""
    runs = [
        run(tmp_path / name, v, k) for name, v, k in (("a", -90, 50), ("b", -80, 50), ("c", -70, 5))
    ]
    page = tmp_path / "page.html"
    assert command.run("compare", [*runs, "--out", str(page)]) == 0
    told = capsys.readouterr().out
    assert "-80.0 ± 0.5 *" in told
    assert "-70.0 ± 0.5 *" not in told
    assert "samples: 5 against 50" in told
    assert "<html" in page.read_text()


@pytest.mark.parametrize(
    ("name", "argv", "code"),
    [
        ("compare", [], 2),
        ("compare", ["nowhere"], 4),
        ("evaluate", ["nowhere"], 4),
        ("sample", ["nowhere", "--num", "0"], 2),
        ("verify", ["nowhere"], 4),
        ("replay", ["nowhere"], 4),
        ("train", ["vae_digit"], 2),
        ("list", ["--all"], 2),
        ("trian", [], 2),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(name, argv, code, capsys):
    """Stderr holds a single line that starts with `error:`; stdout holds nothing."""
    assert command.run(name, argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_an_unfinished_run_is_not_compared(tmp_path, capsys):
    """No result, no row."""
    name = run(tmp_path / "a", -90, 50)
    (tmp_path / "a" / "result.json").unlink()
    assert command.run("compare", [name]) == 4
    assert "is not finished" in capsys.readouterr().err


def test_the_list_names_every_experiment(capsys):
    """One line each, with what to expect."""
    from experiments.experiment import NAMES, find

    assert command.run("list", []) == 0
    told = capsys.readouterr().out
    for name in NAMES:
        assert name in told
        assert find(name).FACTS.expected in told
