# SPDX-License-Identifier: Apache-2.0
"""A full disk: reported in one line, and what was saved before is whole."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

OPTIONS = ("--tiny", "--steps", "40")

FULL = """
    import os, resource
    from jaxml.training.storage.checkpoint import Writer
    save = Writer.save

    def fill():
        if {way!r} == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))
            return
        with open(os.path.join({place!r}, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                file.truncate(file.tell() - {room})

    def saving(writer, step, *args, **kwargs):
        if step == {step}:
            writer.wait()
            fill()
        save(writer, step, *args, **kwargs)

    Writer.save = saving
"""


@pytest.fixture(scope="module")
def small_disk(make_nursery, tmp_path_factory):
    """A nursery before a file system of 4 MiB, and the path of that from here."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no private mounts here: unshare -rm is not allowed")
    place = tmp_path_factory.mktemp("disk")
    mount = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", mount, str(place))
    nursery = make_nursery(tmp_path_factory.mktemp("small-disk"), prefix)
    yield nursery, place, Path(f"/proc/{nursery.process.pid}/root{place}")
    nursery.close()


def check(nursery, law, words, run, step):
    """What holds after the failure, whatever filled the disk."""
    assert law.saved(run)[-1] == step - 5
    assert law.litter(run / "checkpoints") == []
    verified = nursery.run("verify", words[-1])
    assert (verified.code, verified.out.splitlines()[-1]) == (0, f"step {step - 5}: sound")


@pytest.mark.slow
@pytest.mark.parametrize("step", [10, 15, 20, 25, 30])
def test_a_limit_on_the_size_of_files(nursery, law, small, tmp_path, step):
    """RLIMIT_FSIZE of 20 kB, below the size of a checkpoint: exit 4, and a bitwise resume."""
    reference, run = nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", str(run))
    before = FULL.format(way="limit", room=20_000, place="", step=step)
    done = nursery.run(*words, before=before)
    assert done.code == 4, done
    assert f"step {step} was not saved: File too large" in done.error()
    assert law.rows(run / "metrics.jsonl")[-1] <= step + 5
    check(nursery, law, words, run, step)
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "room"), [(10, 0), (15, 4096), (20, 16384), (25, 65536), (30, 0)])
def test_a_full_file_system(nursery, small_disk, law, small, step, room):
    """A tmpfs of 4 MiB filled up to its last bytes: exit 4, and a bitwise resume with room again.

    With no room at all the log of metrics may be what fails first; it is named then.
    """
    inner, place, seen = small_disk
    reference = nursery.reference("vae_digits", *OPTIONS, *small)
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", str(place / "run"))
    before = FULL.format(way="tmpfs", room=room, place=str(place), step=step)
    done = inner.run(*words, before=before, fill=True)
    assert done.code == 4, done
    assert "No space left on device" in done.error()
    assert str(place / "run") in done.error()
    assert law.rows(seen / "run" / "metrics.jsonl")[-1] <= step + 5
    check(inner, law, words, seen / "run", step)
    (seen / "filler").unlink()
    again = inner.run(*words, "--resume", "auto", fill=True)
    assert again.code == 0, again.err
    law.same(seen / "run", reference)
    shutil.rmtree(seen / "run")


@pytest.mark.slow
def test_a_log_that_cannot_be_written_is_named(nursery, law, small, tmp_path):
    """The log of metrics outgrows the limit where the checkpoint does not: the line names it."""
    run = tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", str(run))
    before = """
    import resource
    from jaxml.training.run import Run
    record = Run.record

    def recording(run, step, metrics):
        if step == 20:
            run.wait()  # a checkpoint on its way would meet the limit as well
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        record(run, step, metrics)

    Run.record = recording
    """
    done = nursery.run(*words, before=before)
    assert done.code == 4
    assert done.error() == f"error: {run / 'metrics.jsonl'}: cannot be written: File too large"
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, nursery.reference("vae_digits", *OPTIONS, *small))
    assert json.loads((run / "result.json").read_text())["step"] == 40
