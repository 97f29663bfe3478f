# SPDX-License-Identifier: Apache-2.0
"""A directory is checked before the first byte, and every refusal is one line that names it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jaxml.training.storage import directory
from jaxml.training.storage.directory import CheckpointError, check_name, one_line, prepare, reason

ROOT = Path(__file__).parents[3]


def refusal(path) -> str:
    """The message with which `prepare` refuses a path."""
    with pytest.raises(CheckpointError) as caught:
        prepare(path)
    message = str(caught.value)
    assert message.isprintable(), "one line, whatever the path holds"
    return message


def test_prepare_makes_the_last_component_alone(tmp_path):
    """A run directory appears under an existing parent, empty, and may be prepared again."""
    place = prepare(tmp_path / "run")
    assert place == tmp_path / "run"
    assert list(place.iterdir()) == []
    assert prepare(place) == place


def test_a_relative_path_becomes_absolute(tmp_path, monkeypatch):
    """A later change of the working directory does not move the run."""
    monkeypatch.chdir(tmp_path)
    assert prepare("a/../run") == tmp_path / "run"


def test_a_link_to_a_directory_is_a_directory(tmp_path):
    """Runs may be kept elsewhere through a link made by the user."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert prepare(tmp_path / "link").is_dir()


def test_a_file_is_refused(tmp_path):
    """A path that is a file is named and left alone."""
    (tmp_path / "run").write_text("mine")
    assert refusal(tmp_path / "run") == f"{tmp_path}/run: is a file, expected a directory"
    assert (tmp_path / "run").read_text() == "mine"


def test_a_missing_parent_is_refused(tmp_path):
    """A misspelt parent makes no tree."""
    assert "does not exist" in refusal(tmp_path / "no" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    """The error names the run directory and its parent."""
    (tmp_path / "file").touch()
    assert str(tmp_path / "file" / "run") in refusal(tmp_path / "file" / "run")


def test_a_dangling_link_is_refused(tmp_path):
    """Nothing is made at the link's target."""
    (tmp_path / "run").symlink_to("nowhere")
    assert "link to nothing (nowhere)" in refusal(tmp_path / "run")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["a" * 101, "a" * 300, "-run", "_run", "a b", "a\nb", "ä"])
def test_a_name_outside_the_alphabet_is_refused(tmp_path, name):
    """A name is a letter or digit, then at most 99 letters, digits, dots, dashes, underscores."""
    message = refusal(tmp_path / name)
    assert "expected a name" in message
    assert len(message) < 250
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "7", "a" * 100, "A.b_c-d", "2026-01-31.x"])
def test_a_name_within_the_alphabet_passes(name):
    """The bound of 100 characters is itself allowed."""
    assert check_name(name) == name


@pytest.mark.parametrize("path", ["/", "", ".."])
def test_paths_without_a_name_of_their_own(path, monkeypatch, tmp_path):
    """The root of the file system has no name; `''` and `..` mean the directory they resolve to."""
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    if path == "/":
        assert "expected a name" in refusal(path)
    else:
        assert prepare(path) == Path(os.path.abspath(path))


def test_directories_without_permission(tmp_path):
    """Read-only, and without the execute bit: refused in one line, as a user whom bits bind."""
    script = """
        import os, shutil, sys, tempfile
        from pathlib import Path
        from jaxml.training.storage.directory import CheckpointError, prepare
        if os.geteuid() == 0:  # permission bits do not bind root
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        root = Path(tempfile.mkdtemp())
        try:
            for name, mode in (("readonly", 0o500), ("noexecute", 0o600)):
                (root / name).mkdir()
                (root / name).chmod(mode)
                for path in (root / name, root / name / "run"):
                    try:
                        prepare(path)
                    except CheckpointError as error:
                        assert str(error).startswith(f"{path}: cannot be used"), error
                        assert str(error).endswith("directory: Permission denied"), error
                    else:
                        raise SystemExit(f"{path} was accepted")
                (root / name).chmod(0o700)
        finally:
            shutil.rmtree(root)
        print("refused")
    """
    assert run(script).stdout == "refused\n"


def test_a_file_system_without_inodes():
    """A full inode table refuses the directory, and refuses the probe in an existing one."""
    script = """
        import subprocess, sys, tempfile
        from jaxml.training.storage.directory import CheckpointError, prepare
        root = tempfile.mkdtemp()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=2", "none", root], check=True)
        prepared = 0
        for path in (f"{root}/run", f"{root}/run", f"{root}/other"):
            try:
                prepare(path)
                prepared += 1
            except CheckpointError as error:
                assert str(error).startswith(f"{path}: cannot be used as a directory: "), error
                assert "No space left on device" in str(error), error
        subprocess.run(["umount", root], check=True)
        print("prepared", prepared)
    """
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no private mounts here: unshare -rm is not allowed")
    assert run(script, "unshare", "-rm").stdout == "prepared 0\n"


def run(script: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, which must end well."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_probe_leaves_nothing_and_clean_takes_only_ours(tmp_path):
    """Temporary files of a killed process go; a user's files, links and directories stay."""
    leftover = directory.temporary(tmp_path / "result.json")
    leftover.touch()
    theirs = [".result.json.tmp", ".a.0123.tmp", "result.json", ".x.0123456789abcdef.tmp2"]
    for name in theirs:
        (tmp_path / name).touch()
    (tmp_path / ".d.0123456789abcdef.tmp").mkdir()
    (tmp_path / ".l.0123456789abcdef.tmp").symlink_to("result.json")
    directory.clean(tmp_path)
    left = {*theirs, ".d.0123456789abcdef.tmp", ".l.0123456789abcdef.tmp"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_cleaning_what_is_gone_is_an_error(tmp_path):
    """A run directory removed while in use is named."""
    with pytest.raises(CheckpointError, match="run: cannot be cleaned: No such file"):
        directory.clean(tmp_path / "run")


def test_messages_hold_one_printable_line():
    """Line breaks and escape sequences of a path are shown escaped; length is bounded."""
    assert str(CheckpointError("a\n\x1b[31m", "b\r")) == r"a\n\x1b[31m: b\r"
    assert one_line("x" * 5000) == "x" * 1997 + "..."


def test_reasons_are_short():
    """The words of the system for an OSError, the first line of anything else."""
    assert reason(OSError(28, "No space left on device", "/long/path")) == "No space left on device"
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"
    assert reason(CheckpointError("path", "why")) == "why"


def test_sync_reports_what_is_missing(tmp_path, monkeypatch):
    """It synchronizes that very path; one that is not there is an error, not skipped."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda d: synced.append(os.readlink(f"/proc/self/fd/{d}")))
    directory.sync(tmp_path)
    assert synced == [str(tmp_path)]
    with pytest.raises(FileNotFoundError):
        directory.sync(tmp_path / "missing")
