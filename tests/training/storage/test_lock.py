# SPDX-License-Identifier: Apache-2.0
"""One writer per run directory, whoever dies and however close the race."""

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jaxml.training.storage import lock
from jaxml.training.storage.directory import CheckpointError
from jaxml.training.storage.lock import RunLockedError

ROOT = Path(__file__).parents[3]
HERE = socket.gethostname()
START = "2026-01-31T00:00:00+00:00"


def name(path, **changes):
    """Leave a holder's name in the lock file of `path`."""
    facts = {"pid": 2**22 + 1, "host": HERE, "start": START} | changes
    (path / lock.FILE).write_text(json.dumps(facts))


def test_the_holder_writes_its_name_and_takes_it_away(tmp_path):
    """Inside, the file says pid, host and start; afterwards it is empty and the lock is free."""
    for _ in range(2):
        with lock.hold(tmp_path):
            facts = json.loads((tmp_path / lock.FILE).read_text())
            assert (facts["pid"], facts["host"]) == (os.getpid(), HERE)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", facts["start"])
        assert (tmp_path / lock.FILE).read_bytes() == b""


def test_a_second_hold_is_refused_and_names_the_holder(tmp_path):
    """Even within one process; the first one is not disturbed."""
    with lock.hold(tmp_path):
        for _ in range(3):
            with pytest.raises(RunLockedError) as caught, lock.hold(tmp_path):
                pass
            start = json.loads((tmp_path / lock.FILE).read_text())["start"]
            expected = f"is held by process {os.getpid()} on host {HERE} since {start}"
            assert str(caught.value) == f"{tmp_path / lock.FILE}: {expected}"


def test_two_directories_are_two_locks(tmp_path):
    """Runs side by side do not meet."""
    for run in "ab":
        (tmp_path / run).mkdir()
    with lock.hold(tmp_path / "a"), lock.hold(tmp_path / "b"):
        pass


def test_an_error_inside_releases(tmp_path):
    """The error goes on and the lock is free."""
    with pytest.raises(KeyError), lock.hold(tmp_path):
        raise KeyError
    with lock.hold(tmp_path):
        pass


def test_a_name_left_on_this_host_is_taken_over(tmp_path):
    """The kernel's lock is free, so its holder is dead, even if its pid is in use again."""
    for pid in (2**22 + 1, os.getpid(), 1):
        name(tmp_path, pid=pid)
        with lock.hold(tmp_path):
            assert json.loads((tmp_path / lock.FILE).read_text())["pid"] == os.getpid()


def test_a_name_left_by_another_host_is_respected(tmp_path):
    """Whether that process lives cannot be seen from here; the message says what to do."""
    name(tmp_path, host="elsewhere", pid=12)
    before = (tmp_path / lock.FILE).read_bytes()
    expected = f"was left by process 12 on host elsewhere since {START}; delete this file"
    with pytest.raises(RunLockedError, match=re.escape(expected)), lock.hold(tmp_path):
        pass
    assert (tmp_path / lock.FILE).read_bytes() == before
    (tmp_path / lock.FILE).unlink()
    with lock.hold(tmp_path):
        pass


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', '{"pid": [], "host": "", "start": ""}'])
def test_a_name_that_cannot_be_read_is_respected(tmp_path, text):
    """It may be another host's."""
    (tmp_path / lock.FILE).write_text(text)
    with pytest.raises(RunLockedError, match="not written its name"), lock.hold(tmp_path):
        pass


@pytest.mark.parametrize("data", [b"", b"\0" * 90])
def test_an_empty_name_is_free(tmp_path, data):
    """Zeros are what a crash of the machine leaves of an unsynchronized file."""
    (tmp_path / lock.FILE).write_bytes(data)
    with lock.hold(tmp_path):
        pass


def test_a_loser_waits_for_the_name_of_the_winner(tmp_path, monkeypatch):
    """The name of a dead process is not blamed while the lock is held by another that is slow."""
    monkeypatch.setattr(lock, "PATIENCE", 0.2)
    with lock.hold(tmp_path):
        name(tmp_path, pid=2**22 + 1)
        with pytest.raises(RunLockedError, match=str(2**22 + 1)), lock.hold(tmp_path):
            pass
        sleeps = []

        def written(_):
            sleeps.append(1)
            name(tmp_path, pid=os.getppid())

        monkeypatch.setattr(lock.time, "sleep", written)
        with pytest.raises(RunLockedError, match=f"{os.getppid()} on"), lock.hold(tmp_path):
            pass
        assert len(sleeps) == 1


def test_a_holder_on_another_host_is_named_at_once(tmp_path, monkeypatch):
    """A pid means nothing on another host: it is not looked up here."""
    monkeypatch.setattr(lock.time, "sleep", lambda _: pytest.fail("waited"))
    with lock.hold(tmp_path):
        name(tmp_path, host="elsewhere", pid=2**22 + 1)
        with pytest.raises(RunLockedError, match="on host elsewhere"), lock.hold(tmp_path):
            pass


def test_a_lock_file_that_cannot_be_used_is_an_error(tmp_path, monkeypatch):
    """No directory, a link in its place, or a file system without locks: one line."""
    with (
        pytest.raises(CheckpointError, match="cannot be opened: No such"),
        lock.hold(tmp_path / "x"),
    ):
        pass
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / lock.FILE).symlink_to("theirs")
    with pytest.raises(CheckpointError, match="cannot be opened"), lock.hold(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "precious"
    (tmp_path / lock.FILE).unlink()

    def unsupported(*_args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with pytest.raises(CheckpointError, match="cannot be locked"), lock.hold(tmp_path):
        pass


def test_a_directory_removed_inside_ends_quietly(tmp_path):
    """The lock of a run that is gone does not hide what the run has to say about it."""
    (tmp_path / "run").mkdir()
    with lock.hold(tmp_path / "run"):
        (tmp_path / "run" / lock.FILE).unlink()
        (tmp_path / "run").rmdir()


RACE = """
    import os, random, signal, sys, tempfile, time
    from jaxml.training.storage import lock

    def contender(directory, delay, report, fork=False):
        pid = os.fork()
        if pid:
            return pid
        time.sleep(delay)
        begin = time.monotonic()
        try:
            with lock.hold(directory):
                if fork and not os.fork():  # a child that outlives the holder
                    os.closerange(0, 3)
                    signal.alarm(20)
                    signal.pause()
                os.write(report, f"won {os.getpid()}\\n".encode())
                signal.alarm(20)
                signal.pause()
        except lock.RunLockedError as error:
            took = time.monotonic() - begin
            os.write(report, f"lost {took:.3f} {error}\\n".encode())
        os._exit(0)

    def lines(reader, n):
        text = b""
        while text.count(b"\\n") < n:
            text += os.read(reader, 4096)
        return text.decode().splitlines()

    rng = random.Random(0)
    host = os.uname().nodename
    for repeat in range(20):
        directory = tempfile.mkdtemp(dir=sys.argv[1])
        reader, writer = os.pipe()
        delays = (0, rng.uniform(0, 0.2)) if repeat % 2 else (0, 0)
        pids = [contender(directory, delay, writer, repeat == 3) for delay in delays]
        won, lost = sorted(lines(reader, 2), reverse=True)
        winner = int(won.removeprefix("won "))
        took, message = lost.removeprefix("lost ").split(" ", 1)
        assert winner in pids and float(took) < 5, (won, lost)
        assert f"is held by process {winner} on host {host}" in message, message
        os.kill(winner, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        third = contender(directory, 0, writer)
        assert lines(reader, 1) == [f"won {third}"]
        os.kill(third, signal.SIGKILL)
        os.waitpid(third, 0)
    print("one winner, one takeover, 20 times")
"""


def test_a_race_has_one_winner_and_a_killed_holder_is_replaced(tmp_path):
    """20 races of two processes 0 to 200 ms apart: one wins, the loser names it; SIGKILL frees.

    Once the killed holder leaves a forked child behind, which must not keep the lock.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RACE), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "one winner, one takeover, 20 times\n", done.stderr
