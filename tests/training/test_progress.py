# SPDX-License-Identifier: Apache-2.0
"""Laws of the progress: true numbers, few lines, and never in the way of the run."""

import io
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest

from jaxml.training import progress


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(file, clock, seconds, *, steps=50, total=1000, first=0, period=30.0):
    """Chunks of `steps` that take the given seconds each."""
    with progress.bar("vae", total, first, file=file, period=period, clock=clock) as shown:
        for i, second in enumerate(seconds, 1):
            clock.now += second
            shown.update(first + i * steps, {"loss": np.array([4.0, np.nan, 2.0]), "kl": [1.0]})


def test_off_a_terminal_there_are_few_plain_lines():
    """A line each period and one at the end, with step, speed, time left and the mean loss."""
    file = io.StringIO()
    run(file, Clock(), [40.0] + [10.0] * 9, period=45.0)
    assert file.getvalue().splitlines() == [
        "vae  100/1000  5 steps/s  3 min 00 s left  loss 3",
        "vae  350/1000  5 steps/s  2 min 10 s left  loss 3",
        "vae  500/1000  5 steps/s  1 min 40 s left  loss 3",
    ]


def test_the_speed_leaves_out_the_compiler_and_the_past():
    """The first chunk counts only alone; later the speed is that of the last twenty seconds."""
    clock = Clock()
    pace = progress.Pace("x", 10_000, 0, clock)
    assert np.isnan(pace.speed())
    for second, expected in [(50.0, 100 / 50), (1.0, 100.0), (1.0, 100.0)]:
        clock.now += second
        pace.update(pace.step + 100, None)
        assert pace.speed() == pytest.approx(expected)
    for _ in range(5):
        clock.now += 5.0
        pace.update(pace.step + 100, None)
    assert pace.speed() == pytest.approx(20.0)


def test_a_resumed_run_counts_its_own_steps():
    """Steps done before are progress, not speed."""
    file = io.StringIO()
    run(file, Clock(), [10.0, 10.0], first=800)
    assert file.getvalue() == "vae  900/1000  5 steps/s  20 s left  loss 3\n"


def test_a_finished_run_has_nothing_left():
    """The last line names no remaining time; a run without a step says nothing."""
    file = io.StringIO()
    run(file, Clock(), [1.0] * 20)
    assert file.getvalue() == "vae  1000/1000  50 steps/s  loss 3\n"
    file = io.StringIO()
    run(file, Clock(), [])
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"loss": 0.5, "kl": 1.0}, "loss 0.5"),
        ({"kl": np.full(3, np.nan)}, "kl nan"),
        ({"critic/loss": 1.25, "generator/loss": -3.0}, "critic/loss 1.25  generator/loss -3"),
        ({"loss": np.array([[1.0, 2.0], [3.0, np.nan]])}, "loss 2"),
        ({}, ""),
    ],
)
def test_losses_are_found_by_name(metrics, words):
    """What is called loss at the end of its path is told; else the first metric."""
    assert progress.loss(metrics) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.0, "59 min 59 s"),
        (7500.0, "2 h 05 min"),
    ],
)
def test_durations_read_well(seconds, words):
    """Seconds, minutes and hours carry over."""
    assert progress.duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [(93.21234, "93.21"), (1234567.8, "1234568"), (1e9, "1e+09"), (1e-7, "1e-07")],
)
def test_numbers_are_short(number, text):
    """Four digits, and whole numbers up to ten million."""
    assert progress.short(number) == text


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed file")])
def test_a_reader_that_goes_away_does_not_stop_the_run(terminal, error):
    """After the first failed write the bar keeps silent and the block runs to its end."""

    class Gone(Terminal if terminal else io.StringIO):
        attempts = 0

        def write(self, text):
            self.attempts += 1
            raise error

    file = Gone()
    run(file, Clock(), [40.0] * 5)
    assert file.attempts == 1


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    """The bar shows the last state; markup in the title is text, control characters are gone."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    file, clock = Terminal(), Clock()
    with progress.bar("[red]a\x1b[1m", 100, file=file, clock=clock) as shown:
        clock.now += 2
        shown.update(50, {"loss": 1.5})
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert "[red]a[1m" in text
    assert re.search(r"━+.* 50/100 +25 steps/s +2 s left +loss 1\.5", text.splitlines()[-1])


def test_without_rich_a_terminal_gets_lines(monkeypatch):
    """rich is an extra: without it the plain lines remain."""
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    file = Terminal()
    run(file, Clock(), [10.0, 10.0])
    assert file.getvalue() == "vae  100/1000  5 steps/s  3 min 00 s left  loss 3\n"


PROGRAM = """
import runpy, sys
bar = runpy.run_path(sys.argv[1])["bar"]
with bar("vae", 2) as shown:
    shown.update(1, {"loss": 1.0})
    print("to stdout")
    shown.update(2, {"loss": 0.5})
"""


def test_stdout_is_left_alone():
    """With stderr on a terminal, what is printed reaches stdout and the bar does not."""
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, progress.__file__],
            stdout=subprocess.PIPE,
            stderr=follower,
            env=os.environ | {"TERM": "xterm"},
            check=True,
            timeout=60,
        )
        assert b"2/2" in os.read(leader, 1 << 16)
    finally:
        os.close(leader)
        os.close(follower)
    assert done.stdout == b"to stdout\n"
