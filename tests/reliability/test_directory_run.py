# SPDX-License-Identifier: Apache-2.0
"""A run directory that cannot be used: one line, exit 4, nothing made that was not asked for."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

AS_A_USER = """
    import os
    if os.geteuid() == 0:  # permission bits do not bind root
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


def a_file(place):
    (place / "run").write_text("a file")
    return place / "run", "is a file"


def no_parent(place):
    return place / "misspelt" / "run", "the parent directory"


def dangling(place):
    (place / "run").symlink_to(place / "nothing")
    return place / "run", "is a symbolic link to nothing"


def long(place):
    return place / ("x" * 300), "expected a name of at most 100"


@pytest.mark.parametrize("make", [a_file, no_parent, dangling, long])
def test_a_directory_that_cannot_be(call, tmp_path, make):
    """A file, a missing parent, a link to nothing, a name of 300 characters."""
    path, expected = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = call("train", "vae_digits", "--tiny", "--run-dir", path)
    assert done.code == 4
    assert expected in done.error()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("mode", [0o555, 0o666], ids=["read-only", "no execute bit"])
def test_a_directory_that_may_not_be_used(nursery, mode):
    """Permissions bind, whether the directory is the run's or its parent."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest has its own closed to others
    try:
        place.chmod(0o755)
        (place / "inner").mkdir()
        (place / "inner").chmod(mode)
        for path in (place / "inner", place / "inner" / "run"):
            words = ("train", "vae_digits", "--tiny", "--run-dir", path)
            done = nursery.run(*words, before=AS_A_USER)
            assert done.code == 4
            assert done.error() == (
                f"error: {path}: cannot be used as a directory: Permission denied"
            )
            assert list(place.rglob("*")) == [place / "inner"]
    finally:
        shutil.rmtree(place)


@pytest.mark.slow
def test_a_file_system_without_inodes(make_nursery, tmp_path):
    """No room for one more name."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no private mounts here: unshare -rm is not allowed")
    mount = 'mount -t tmpfs -o nr_inodes=2 none "$0" && mkdir "$0/run" && exec "$@"'
    (tmp_path / "disk").mkdir()
    (tmp_path / "nursery").mkdir()
    prefix = ("unshare", "-rm", "sh", "-c", mount, str(tmp_path / "disk"))
    nursery = make_nursery(tmp_path / "nursery", prefix)
    try:
        for name in ("run", "other"):
            path = tmp_path / "disk" / name
            done = nursery.run("train", "vae_digits", "--tiny", "--run-dir", path)
            assert done.code == 4
            assert done.error() == (
                f"error: {path}: cannot be used as a directory: No space left on device"
            )
    finally:
        nursery.close()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["run", "run/checkpoints", "run/samples"])
@pytest.mark.parametrize("step", [10, 40])
def test_a_directory_removed_amid_the_run(nursery, small, tmp_path, what, step):
    """What was taken away is missed in one line, and not made again without its contents.

    Pictures are the exception: their directory is made where it is needed.
    """
    before = f"""
    import shutil
    from jaxml.training.run import Run
    record = Run.record

    def recording(run, step, metrics):
        record(run, step, metrics)
        if step == {step}:
            run.wait()
            shutil.rmtree({str(tmp_path / what)!r}, ignore_errors=True)

    Run.record = recording
    """
    words = ("--tiny", "--steps", "40", *small, "--run-dir", tmp_path / "run")
    done = nursery.run("train", "vae_digits", *words, before=before)
    if what == "run/samples":
        assert done.code == 0, done.err
        return
    assert done.code == 4, done
    assert str(tmp_path / what) in done.error()
    assert "No such file or directory" in done.error()
    assert not (tmp_path / what).exists()


def test_the_default_parent_is_made(call, tmp_path, monkeypatch):
    """Without `--run-dir` a run lies in `runs/NAME`; `runs` is made unless a file is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file")
    done = call("train", "vae_digits", "--tiny")
    assert done.code == 4
    assert done.error() == "error: runs: File exists"
    os.unlink("runs")
    monkeypatch.setattr("experiments.vae_digits.build", stop)
    done = call("train", "vae_digits", "--tiny")
    assert done.error().startswith("error: RuntimeError: far enough")
    assert (tmp_path / "runs" / "vae_digits").is_dir()


def stop(config, data_dir):
    raise RuntimeError("far enough")
