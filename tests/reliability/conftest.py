# SPDX-License-Identifier: Apache-2.0
"""Commands as processes, and what a run directory must hold when they are through."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments import command

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAXML_ALLOCATOR": "off",
    "PYTHONPATH": str(ROOT),
}
SMALL = ("--width", "8", "--save-every", "5", "--look-every", "20")


class Outcome(NamedTuple):
    """How a command ended: its exit code as a shell sees it, and what it printed."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line that tells what went wrong; nothing after it, no traceback before it."""
        lines = self.err.splitlines()
        assert "Traceback" not in self.err, self.err
        assert [line for line in lines if line.startswith("error:")] == lines[-1:], self.err
        return lines[-1]


class Child:
    """A command that runs."""

    def __init__(self, nursery: "Nursery", pid: int, out: Path, err: Path):
        self.nursery, self.pid, self.out, self.err = nursery, pid, out, err
        self.began = time.monotonic()
        self.code: int | None = None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> bool:
        if self.code is None:
            code = self.nursery.ask({"wait": self.pid})
            self.code = 128 - code if code is not None and code < 0 else code
        return self.code is not None

    def wait(self, timeout: float = 600) -> Outcome:
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                raise TimeoutError(f"still running after {timeout} s: {self.err.read_text()}")
            time.sleep(0.01)
        assert self.code is not None
        return Outcome(self.code, self.out.read_text(), self.err.read_text())

    def until(self, ready, timeout: float = 600) -> None:
        """Wait until `ready()` or the end."""
        deadline = time.monotonic() + timeout
        while not ready() and not self.ended():
            assert time.monotonic() < deadline
            time.sleep(0.002)


class Nursery:
    """Starts commands by fork; `prefix` is a command that starts the nursery itself elsewhere."""

    def __init__(self, directory: Path, prefix: tuple[str, ...] = ()):
        self.directory, self.count = directory, 0
        self.references: dict[tuple[str, ...], Path] = {}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(Path(__file__).with_name("nursery.py"))],
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: dict):
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *argv, before: str = "", fill: bool = False, cache: bool = True) -> Child:
        """Begin a command after executing `before`.

        The first command of a test compiles and fills the cache; the others are spared the
        compiler, not a bit of the arithmetic. `cache=False` compiles anew.
        """
        self.count += 1
        out, err = (self.directory / f"{self.count}.{name}" for name in ("out", "err"))
        words = [str(word) for word in argv]
        order = {
            "argv": words,
            "before": textwrap.dedent(before),
            "out": str(out),
            "err": str(err),
            "cache": str(self.directory / "cache") if cache else "",
            "fill": fill,
        }
        return Child(self, self.ask(order), out, err)

    def run(self, *argv, **options) -> Outcome:
        return self.start(*argv, **options).wait()

    def reference(self, name: str, *options: str) -> Path:
        """The directory of the uninterrupted run, made once."""
        if (name, *options) not in self.references:
            place = self.directory / f"reference-{len(self.references)}"
            done = self.run("train", name, *options, "--run-dir", place, fill=True)
            assert done.code == 0, done.err
            self.references[name, *options] = place
        return self.references[name, *options]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory):
    """Where commands are born."""
    place = Nursery(tmp_path_factory.mktemp("nursery"))
    yield place
    place.close()


@pytest.fixture(scope="session")
def make_nursery():
    """The class itself, for nurseries of one's own."""
    return Nursery


@pytest.fixture
def call(capfd, monkeypatch):
    """Run a command in this process."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def run(name: str, *argv) -> Outcome:
        capfd.readouterr()
        code = command.run(name, [str(word) for word in argv])
        return Outcome(code, *capfd.readouterr())

    return run


def sums(run: Path) -> dict[str, str]:
    """The sha256 of params, optimizer, average, key and position in the data."""
    return json.loads((run / "result.json").read_text())["sha256"]


def rows(path: Path) -> list[int]:
    """The steps of a log; a last line that was torn does not count."""
    return [json.loads(line)["step"] for line in path.read_text().split("\n")[:-1]]


def saved(run: Path) -> list[int]:
    """The committed checkpoints."""
    place = run / "checkpoints"
    return sorted(int(path.name) for path in place.iterdir() if path.name.isdigit())


def litter(run: Path) -> list[str]:
    """Temporary names anywhere under the run."""
    return [str(path) for path in run.rglob("*") if path.name.startswith(".")]


class Law(NamedTuple):
    """Readers of a run directory, and the law of resumption."""

    sums = staticmethod(sums)
    rows = staticmethod(rows)
    saved = staticmethod(saved)
    litter = staticmethod(litter)

    @staticmethod
    def same(run: Path, reference: Path) -> None:
        """Equal digests, equal logs with each step once, equal pictures, no litter."""
        steps = rows(reference / "metrics.jsonl")
        assert steps == list(range(1, len(steps) + 1))
        assert len(sums(run)) >= 5
        assert sums(run) == sums(reference)
        for name in ("metrics.jsonl", "validation.jsonl"):
            assert (run / name).read_text() == (reference / name).read_text(), name
        pictures = sorted(path.name for path in (reference / "samples").iterdir())
        assert sorted(path.name for path in (run / "samples").iterdir()) == pictures
        assert saved(run) == saved(reference)
        assert litter(run) == []
        assert (run / "run.lock").read_bytes() == b""


@pytest.fixture(scope="session")
def law():
    """What must hold of a run directory."""
    return Law()


@pytest.fixture(scope="session")
def small():
    """Options of a run of seconds."""
    return SMALL


@pytest.fixture(scope="session")
def environment():
    """For real processes: `python -m experiments` from any directory."""
    return ENVIRONMENT


@pytest.fixture
def mnist():
    """Skip where there is no data directory."""
    where = os.environ.get("JAXML_DATA_DIR", "")
    if not (Path(where) / "mnist.npz").is_file() or not where:
        pytest.skip("JAXML_DATA_DIR names no directory with mnist.npz")
    return where
