# SPDX-License-Identifier: Apache-2.0
"""Progress of a long run on stderr: a bar for a person, an occasional line for a file."""

import importlib.util
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Protocol, cast

import numpy as np

WINDOW = 20.0
"""Seconds over which the speed is taken: long enough for a steady number, short enough to follow
the machine."""


class Bar(Protocol):
    """What `bar` yields."""

    def update(self, step: int, metrics: Mapping[str, Any] | None = None) -> None:
        """Say that `step` steps are done, the last of them with these metrics."""
        ...


@contextmanager
def bar(
    title: str,
    total: int,
    first: int = 0,
    *,
    file: Any = None,
    period: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Bar]:
    """Show step, speed, remaining time and loss while the block runs.

    On a terminal (and with rich installed) this is a bar; elsewhere a plain line every `period`
    seconds and one at the end. Nothing is ever written to stdout, and a reader that has gone away
    silences the bar and leaves the run alone.

    Args:
      title: what runs.
      total: the number of the last step.
      first: how many steps were done before.
      file: where to write; `None` takes stderr.
      period: seconds between plain lines.
      clock: seconds that only grow.
    """
    out = _Steadfast(sys.stderr if file is None else file)
    pace = Pace(title, total, first, clock)
    if out.isatty() and os.environ.get("TERM") != "dumb" and importlib.util.find_spec("rich"):
        live = _Live(pace, out)
        with live.display:
            yield live
        return
    lines = _Lines(pace, out, period)
    try:
        yield lines
    finally:
        lines.close()


class Pace:
    """Where a run is and how fast it goes."""

    def __init__(self, title: str, total: int, first: int, clock: Callable[[], float]):
        self.title = "".join(c for c in title if c.isprintable())
        self.total, self.step, self.loss, self.clock = total, first, "", clock
        self._begin = (clock(), first)
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, step: int, metrics: Mapping[str, Any] | None) -> None:
        """Note the time of `step` and its loss."""
        self._seen.append((self.clock(), step))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        self.step, self.loss = step, loss(metrics or {}) or self.loss

    def speed(self) -> float:
        """Steps a second; NaN where there is nothing to tell it from.

        Time is counted from the end of the first chunk, because the first waits for the compiler.
        """
        ends = [self._begin, *self._seen] if len(self._seen) < 2 else self._seen
        (start, first), (now, step) = ends[0], ends[-1]
        return (step - first) / (now - start) if now > start else math.nan

    def words(self) -> dict[str, Any]:
        """The state in words, by the columns of the bar."""
        speed = self.speed()
        left = (self.total - self.step) / speed if speed > 0 else 0.0
        return {
            "step": f"{self.step}/{self.total}",
            "speed": f"{short(speed)} steps/s" if speed > 0 else "",
            "left": f"{duration(left)} left" if left > 0 else "",
            "loss": self.loss,
        }


class _Lines:
    """Plain lines: few enough for a log file."""

    def __init__(self, pace: Pace, out: "_Steadfast", period: float):
        self._pace, self._out, self._period = pace, out, period
        self._last, self._told = pace.clock(), pace.step

    def update(self, step: int, metrics: Mapping[str, Any] | None = None) -> None:
        self._pace.update(step, metrics)
        if self._pace.clock() - self._last >= self._period:
            self._tell()

    def close(self) -> None:
        if self._pace.step != self._told:
            self._tell()

    def _tell(self) -> None:
        words = [self._pace.title, *self._pace.words().values()]
        self._out.write("  ".join(word for word in words if word) + "\n")
        self._out.flush()
        self._last, self._told = self._pace.clock(), self._pace.step


class _Live:
    """A bar drawn by rich, four times a second."""

    def __init__(self, pace: Pace, out: "_Steadfast"):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._pace = pace
        self.display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            *[TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in pace.words()],
            console=Console(file=cast("IO[str]", out)),
            refresh_per_second=4,
            redirect_stdout=False,  # or rich prints to its console, stderr, what stdout is owed
        )
        self._task = self.display.add_task(
            pace.title, total=pace.total, completed=pace.step, **pace.words()
        )

    def update(self, step: int, metrics: Mapping[str, Any] | None = None) -> None:
        self._pace.update(step, metrics)
        self.display.update(self._task, completed=step, **self._pace.words())


class _Steadfast:
    """A text file that outlives its reader: after the first failed write it keeps silent."""

    def __init__(self, file: Any):
        self._file, self._broken = file, False
        self.encoding = getattr(file, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._attempt(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._file.flush)

    def isatty(self) -> bool:
        return bool(self._file.isatty())

    def fileno(self) -> int:
        return self._file.fileno()

    def _attempt(self, action: Callable[[], Any]) -> None:
        if not self._broken:
            try:
                action()
            except (OSError, ValueError):  # a closed pipe, a closed file, an encoding without ±
                self._broken = True


def loss(metrics: Mapping[str, Any]) -> str:
    """The losses among the metrics of a chunk, each the mean of its finite values: `loss 93.2`."""
    names = [name for name in metrics if name.split("/")[-1] == "loss"][:3]
    told = []
    for name in names or list(metrics)[:1]:
        values = np.asarray(metrics[name], np.float64)
        values = values[np.isfinite(values)]
        told.append(f"{name} {short(float(values.mean())) if values.size else 'nan'}")
    return "  ".join(told)


def short(number: float) -> str:
    """At least four digits, and no exponent where a person would write none."""
    return f"{number:.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.4g}"


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
