# SPDX-License-Identifier: Apache-2.0
"""A file is its old self or its new self; a log holds each step once, however often it resumes."""

import json
import os
import stat

import pytest

from jaxml.training.storage import atomic
from jaxml.training.storage.directory import CheckpointError


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_holds_the_bytes_with_the_mode_of_the_umask(tmp_path, umask):
    """The mode is 0666 less the umask, for a new file and for a replaced one; no trace is left."""
    path = tmp_path / "result.json"
    before = os.umask(umask)
    try:
        for data in (b"\x00first\xff", b"second"):
            atomic.write_bytes(path, data)
            assert path.read_bytes() == data
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    finally:
        os.umask(before)
    assert names(tmp_path) == ["result.json"]


def test_a_temporary_name_that_is_taken_is_left_alone(tmp_path, monkeypatch):
    """The temporary file is made exclusively: a link planted under its name is not followed."""
    monkeypatch.setattr("jaxml.training.storage.directory.secrets.token_hex", lambda n: "0" * 2 * n)
    (tmp_path / "theirs").write_text("precious")
    planted = tmp_path / f".a.{'0' * 16}.tmp"
    planted.symlink_to("theirs")
    with pytest.raises(CheckpointError, match="a: cannot be written: File exists"):
        atomic.write_text(tmp_path / "a", "ours")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert planted.is_symlink()


def test_text_is_utf8(tmp_path):
    """Text is written as UTF-8 and its line ends are kept."""
    atomic.write_text(tmp_path / "a", "β\n\r\n")
    assert (tmp_path / "a").read_bytes() == "β\n\r\n".encode()


@pytest.mark.parametrize("function", ["fsync", "replace", "open"])
def test_a_failure_keeps_the_old_file(tmp_path, monkeypatch, function):
    """When the disk is full at any stage, the old bytes stay and the temporary file goes."""
    path = tmp_path / "result.json"
    atomic.write_bytes(path, b"old")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    target = "builtins.open" if function == "open" else f"os.{function}"
    with monkeypatch.context() as patch:
        patch.setattr(target, full)
        with pytest.raises(CheckpointError, match=r"result.json: cannot be written: No space left"):
            atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["result.json"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    """The order is: synchronize the file, rename it, synchronize the directory."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        calls.append("directory" if stat.S_ISDIR(mode) else "file")
        fsync(descriptor)

    def record_replace(source, target):
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    atomic.write_bytes(tmp_path / "a", b"data")
    assert calls == ["file", "rename", "directory"]


def test_a_missing_directory_is_named(tmp_path):
    """A run directory removed while in use is an error in one line."""
    with pytest.raises(CheckpointError, match="gone/a: cannot be written: No such file"):
        atomic.write_bytes(tmp_path / "gone" / "a", b"")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    """Writing to a name that is a symbolic link leaves the link's target alone."""
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "a").symlink_to("target")
    atomic.write_text(tmp_path / "a", "ours")
    assert (tmp_path / "target").read_text() == "theirs"
    assert (tmp_path / "a").read_text() == "ours"
    assert not (tmp_path / "a").is_symlink()


def line(step):
    return json.dumps({"step": step, "loss": 1.5 / step}) + "\n"


def test_each_step_stands_once_wherever_the_run_was_cut(tmp_path, monkeypatch):
    """A log of 1..9 cut at any byte and resumed at any saved step holds 1..12 once, in order."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 750 of them would take seconds
    path = tmp_path / "metrics.jsonl"
    whole = "".join(map(line, range(1, 10))).encode()
    for cut in range(len(whole) + 1):
        written = whole[:cut].count(b"\n")
        for step in {0, written // 2, written}:
            path.write_bytes(whole[:cut])
            with atomic.open_at(path, step) as log:
                for later in range(step + 1, 13):
                    log.write(line(later))
            assert path.read_text() == "".join(map(line, range(1, 13)))


def test_a_written_line_is_in_the_file_at_once(tmp_path):
    """The log is line buffered: what a killed process wrote is there."""
    log = atomic.open_at(tmp_path / "log", 0)
    log.write(line(1))
    assert (tmp_path / "log").read_text() == line(1)
    log.close()


def test_steps_may_be_sparse(tmp_path):
    """A log of every tenth step is cut between its lines."""
    path = tmp_path / "log"
    path.write_text(line(10) + line(20) + line(30))
    atomic.open_at(path, 25).close()
    assert path.read_text() == line(10) + line(20)


@pytest.mark.parametrize(
    "bad", ["{\n", "[1]\n", "1\n", '{"loss": 1}\n', '{"step": "2"}\n', '{"step": true}\n', line(1)]
)
def test_a_damaged_line_before_the_cut_is_refused(tmp_path, bad):
    """A line that is no object with a growing integer step is named, and nothing is cut."""
    path = tmp_path / "log"
    path.write_text(line(1) + bad + line(3))
    with pytest.raises(CheckpointError, match="log: line 2 is not one JSON object"):
        atomic.open_at(path, 5)
    assert path.read_text() == line(1) + bad + line(3)


def test_a_link_as_a_log_is_refused(tmp_path):
    """Nothing outside the run directory is cut through a link."""
    (tmp_path / "theirs").write_text("precious\n")
    (tmp_path / "log").symlink_to("theirs")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        atomic.open_at(tmp_path / "log", 0)
    assert (tmp_path / "theirs").read_text() == "precious\n"
