# SPDX-License-Identifier: Apache-2.0
"""Laws of the comparison: a row per run, the best of each column, and no ranking across."""

import re

import numpy as np
import pytest

from jaxml.metrics import Evidence, Kind, Unit
from jaxml.training.figure import Series
from jaxml.training.report import Run, comparison, table

STEPS = np.arange(1, 51)


def bound(value, samples=5000, estimator="IWAE", **fields):
    about = {"unit": Unit.NATS, "kind": Kind.LOWER_BOUND, "n": 100, "standard_error": 0.5,
             "dim": 64, "samples": samples,
             "protocol": {"split": "test", "estimator": estimator}}  # fmt: skip
    return Evidence(**about | {"value": value} | fields)


def exact(value, **fields):
    return bound(value, None, "change of variables", kind=Kind.EXACT, **fields)


def distance(value):
    return bound(value, None, "", unit=Unit.NUMBER, kind=Kind.ESTIMATE, quantity="FID",
                 higher_is_better=False, dim=None)  # fmt: skip


A = Run("a", [bound(-80.0), bound(-83.0, 1, "ELBO"), distance(3.0)], {"seed": 0, "width": 8})
B = Run("b", [bound(-90.0), bound(-91.0, 1, "ELBO"), distance(2.0)], {"seed": 0, "width": 16})
FLOW = Run("flow", [exact(-85.0)], {"seed": 0, "layers": 3})


def test_the_table_for_a_terminal():
    """A row per run, a star for the best of a column with several, the reasons below."""
    lines = table([A, B, FLOW]).splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines[:4]] == [
        ["run", "[1] log-likelihood, IWAE", "[2] log-likelihood, ELBO", "[3] FID",
         "[4] log-likelihood, change of variables"],
        ["a", "-80.0 ± 0.5 *", "-83.0 ± 0.5 *", "3.0 ± 0.5", "-"],
        ["b", "-90.0 ± 0.5", "-91.0 ± 0.5", "2.0 ± 0.5 *", "-"],
        ["flow", "-", "-", "-", "-85.0 ± 0.5"],
    ]  # fmt: skip
    assert "[1] nats, lower bound, 5000 samples, n = 100, split: test, dimensions: 64" in lines
    assert "[4] is apart from [1]: kind: exact against lower bound" in lines
    assert lines[-1].startswith("a is better than flow")


def test_the_page(tmp_path):
    """Best values are marked, differences carry errors, only differing options are listed."""
    curve = {"loss": {"train": Series(STEPS, 1 / STEPS)}}
    alone = {"kl": {"train": Series(STEPS, 1 / STEPS)}}
    runs = [A._replace(curves=curve | alone), B._replace(curves=curve)]
    comparison(tmp_path / "a.html", [*runs, FLOW])
    text = (tmp_path / "a.html").read_text()
    assert re.findall(r'class="number best">([^<]*)<', text) == [
        "−80.0 ± 0.5", "−83.0 ± 0.5", "2.0 ± 0.5",
    ]  # fmt: skip
    assert '−90.0 ± 0.5<span class="beside">−10.0 ± 0.7</span>' in text
    assert '3.0 ± 0.5<span class="beside">1.0 ± 0.7, not distinguishable</span>' in text
    options = re.findall(r"<tr><td>(\w+)</td><td>(\w*)</td><td>(\w*)</td><td>(\w*)</td></tr>", text)
    assert options == [("width", "8", "16", ""), ("layers", "", "", "3")]
    assert re.findall("<h3>([^<]*)</h3>", text) == ["loss, train"]
    assert 'aria-label="loss, train: a from 1 at step 1' in text


def test_runs_of_one_name_keep_their_curves(tmp_path):
    """Two runs called the same are two curves."""
    curve = {"loss": {"train": Series(STEPS, 1 / STEPS)}}
    comparison(tmp_path / "a.html", [Run("x", [], curves=curve), Run("x", [], curves=curve)])
    text = (tmp_path / "a.html").read_text()
    assert text.count("<polyline") == 2
    assert "x (2)" in text


def test_hostile_names_stay_text(tmp_path):
    """Markup and escapes in names and options do nothing, on the page and on the terminal."""
    bad = Run("<b>\x1b[31mx", [bound(-80.0, estimator="<i>")], {"<u>": "<s>", "token": "hunter2"})
    comparison(tmp_path / "a.html", [bad, A])
    text = (tmp_path / "a.html").read_text()
    assert not re.search(r"<b>x|<u>|<s>|<i>|\x1b|hunter2", text)
    assert "\x1b" not in table([bad, A])


def test_there_is_something_to_compare(tmp_path):
    """No run is an error; runs without evidence are a table of names."""
    with pytest.raises(ValueError, match="at least one run"):
        comparison(tmp_path / "a.html", [])
    assert table([Run("a", [])]) == "run\na"
