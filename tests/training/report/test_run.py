# SPDX-License-Identifier: Apache-2.0
"""Laws of the report: everything given is in it, readable, and nothing else gets in."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxml.metrics import Evidence, Kind, Unit
from jaxml.training import report
from jaxml.training.figure import Series, png

VOID = {"meta", "img", "br"}
HOSTILE = "</style><script>alert('x')</script>\x1b[31m\u202e\"'&"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Balanced(HTMLParser):
    """Fails where an element is closed that was not opened last; collects text and elements."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def picture(level):
    return png(np.full((4, 4), level, np.uint8))


def evidence(**fields):
    about = {"value": -86.91, "unit": Unit.NATS, "kind": Kind.LOWER_BOUND, "n": 10000,
             "standard_error": 0.23, "samples": 5000, "dim": 784, "family": "VAE",
             "protocol": {"estimator": "IWAE", "data": "mnist", "sha256": HASH}}  # fmt: skip
    return Evidence(**about | fields)


def everything(word=""):
    steps = np.arange(1, 101)
    return {
        "title": f"vae{word}",
        "summary": f"What was run{word}",
        "config": {f"width{word}": 256, "nested": {"decay": f"0.99{word}"}},
        "evidence": [
            evidence(),
            evidence(samples=1, quantity=f"bound{word}", protocol={"data": f"other{word}"}),
        ],
        "curves": {f"loss{word}": {f"run{word}": Series(steps, 1.0 / steps)}},
        "sheets": {f"Samples{word}": [(f"step 1{word}", picture(0)), ("step 2", picture(9))]},
        "diagnostics": {f"active{word}": f"11 of 16{word}", f"rate{word}": [3.0, 1.0]},
        "digests": {f"params{word}": HASH},
        "environment": {f"jax{word}": f"0.10.2{word}"},
        "commands": {f"Again{word}": f"python -m experiments{word}"},
    }


def written(path, **parts):
    report.write(path, **parts)
    return path.read_text(encoding="utf-8")


def test_everything_given_is_told(tmp_path):
    """Title, numbers with error and kind, options, digests and commands stand in the page."""
    page = Balanced(written(tmp_path / "a.html", **everything()))
    text = " ".join(page.text)
    for word in (
        "vae", "What was run", "−86.9 ± 0.2", "nats", "lower bound, 5000 samples, n = 10000",
        "log-likelihood, IWAE", "width", "256", "nested.decay", "0.99", "mnist", "9f86d081884c…",
        "loss", "step 1", "active", "11 of 16", "rate", HASH, "0.10.2", "python -m experiments",
    ):  # fmt: skip
        assert word in text, word
    assert page.seen.count("svg") == 2 + 1  # a curve with its viewport, and bars
    assert page.seen.count("img") == 3  # two in their section, the last also beside the title


def test_cards_are_told_apart(tmp_path):
    """Of several families each card names its own; of one family none does."""
    both = [evidence(family="adam at 0.01"), evidence(family="sgd at 1")]
    text = " ".join(Balanced(written(tmp_path / "a.html", title="a", evidence=both)).text)
    assert "log-likelihood, IWAE, adam at 0.01" in text
    assert "log-likelihood, IWAE, sgd at 1" in text
    text = " ".join(Balanced(written(tmp_path / "b.html", title="a", evidence=both[:1])).text)
    assert "log-likelihood, IWAE, adam" not in text


def test_an_empty_report_has_only_its_title(tmp_path):
    """What is not given leaves no heading behind."""
    page = Balanced(written(tmp_path / "a.html", title="vae"))
    assert not {"section", "h2", "table", "dl", "svg", "img", "pre"} & set(page.seen)
    assert " ".join(page.text).split() == ["vae", "a", "run", "of", "jaxml", "vae"]


def test_hostile_text_stays_text(tmp_path):
    """In every place that takes text, markup and control characters do nothing."""
    plain = Balanced(written(tmp_path / "a.html", **everything()))
    text = written(tmp_path / "b.html", **everything(HOSTILE))
    hostile = Balanced(text)
    assert hostile.seen == plain.seen
    assert "script" not in hostile.seen
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "".join(hostile.text).count("<script>alert('x')</script>") >= 15


def test_secrets_do_not_reach_the_page(tmp_path):
    """Under secret names, in commands, URLs and summaries the value is masked."""
    text = written(
        tmp_path / "a.html",
        title="vae",
        summary="from https://me:hunter2@host/data",
        config={"api_key": "hunter2", "nested": {"password": "hunter2"}},
        environment={"HF_TOKEN": "hunter2"},
        commands={"Again": "AWS_SECRET=hunter2 python -m experiments --token hunter2"},
        diagnostics={"private_note": "hunter2"},
        evidence=[evidence(protocol={"data": "https://u:hunter2@h"})],
    )
    assert "hunter2" not in text


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    """No script, no link, no address but data: a page for a machine without a network."""
    text = written(tmp_path / "a.html", **everything())
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?://", text)
    assert set(re.findall(r'(?:src|href)="([a-z]+:)', text)) == {"data:"}


def test_shared_protocol_is_told_once(tmp_path):
    """What all evidence has in common stands below the table, the rest in its row."""
    items = [
        evidence(protocol={"split": "test", "binarization": "static"}),
        evidence(samples=1, protocol={"split": "test", "binarization": "dynamic"}),
    ]
    text = " ".join(Balanced(written(tmp_path / "a.html", title="x", evidence=items)).text)
    assert text.count("split: test") == 1
    assert text.count("binarization: static") == text.count("binarization: dynamic") == 1
    assert "all measured on" in text


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({}, ["−86.9", "0.2", "nats", "lower bound", "10000", "5000", "VAE"]),
        ({"standard_error": None}, ["−86.91", "unknown", "nats"]),
        ({"standard_error": 0.0}, ["−86.91", "0", "nats"]),
        (
            {"unit": Unit.NUMBER, "quantity": "FID", "samples": None, "family": ""},
            ["−86.9", "0.2", "", "lower bound", "10000", "", ""],
        ),
    ],
)
def test_a_row_of_evidence(tmp_path, fields, row):
    """Value and error to the same digit, an unknown error named, a pure number without a unit."""
    text = written(tmp_path / "a.html", title="x", evidence=[evidence(**fields)])
    cells = re.findall(r'<td class="number">([^<]*)</td>', text)
    assert cells[: len(row)] == row


@pytest.mark.parametrize(("n", "shown"), [(3, 3), (12, 12), (13, 7), (30, 11), (100, 12)])
def test_a_film_keeps_its_first_and_last_picture(tmp_path, n, shown):
    """At most twelve, evenly spaced, the end among them; how many there are is told."""
    film = [(f"step {k}.", picture(k % 256)) for k in range(n)]
    text = written(tmp_path / "a.html", title="x", sheets={"First": [film[-1]], "Film": film})
    steps = [int(k) for k in re.findall(r"<figcaption>step (\d+)\.", text)][1:]
    assert len(steps) == shown
    assert (steps[0], steps[-1]) == (0, n - 1)
    assert len(set(np.diff(steps[1:]))) <= 1
    assert (f"{shown} of {n} pictures" in text) == (shown < n)


def test_the_only_picture_stands_beside_the_title(tmp_path):
    """A single picture under the first heading is shown once; other headings keep theirs."""
    sheets = {"Samples": [("one", picture(1))], "Walks": [("two", picture(2))]}
    page = Balanced(written(tmp_path / "a.html", title="x", sheets=sheets))
    assert page.seen.count("img") == 2
    assert "Samples" not in page.text
    assert "Walks" in page.text


def test_the_same_run_gives_the_same_bytes(tmp_path):
    """There is no time and no random name in the page."""
    assert written(tmp_path / "a.html", **everything()) == written(
        tmp_path / "b.html", **everything()
    )
