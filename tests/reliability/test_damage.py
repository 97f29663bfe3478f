# SPDX-License-Identifier: Apache-2.0
"""A damaged checkpoint is never read as if it were whole, and never in the way for long."""

import random
import shutil

import pytest

OPTIONS = ("--tiny", "--steps", "40")


@pytest.fixture
def run(nursery, small, tmp_path):
    """A finished run of one's own, to be damaged."""
    return shutil.copytree(nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run")


def files(run):
    """The files of the newest checkpoint."""
    place = run / "checkpoints" / "000000040"
    return sorted(path for path in place.rglob("*") if path.is_file())


def flip(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def refused(done, path):
    """Exit 4, one line that names the step and the file (or the list in which it stands)."""
    assert done.code == 4, path
    assert "step 40: damaged" in done.out.splitlines()
    assert "step 35: sound" in done.out.splitlines()
    line = done.error()
    assert "000000040" in line
    assert "step 40" in line
    assert path.name in line or "manifest.sha256" in line, line


@pytest.mark.parametrize("n", [15, pytest.param(100, marks=pytest.mark.slow)])
def test_verify_finds_every_flipped_bit(call, run, n):
    """All of n random (file, bit) of the newest checkpoint, each refused by name."""
    rng = random.Random(0)
    assert call("verify", run)[:2] == (0, "step 35: sound\nstep 40: sound\n")
    places = [path for path in files(run) if path.stat().st_size]
    for _ in range(n):
        path = rng.choice(places)
        whole = path.read_bytes()
        flip(path, rng)
        refused(call("verify", run), path)
        path.write_bytes(whole)
    assert call("verify", run).code == 0


def test_verify_finds_every_truncated_and_missing_file(call, run):
    """Each file cut to half, cut to nothing and deleted."""
    for path in files(run):
        whole = path.read_bytes()
        for kept in {len(whole) // 2, 0} - {len(whole)}:
            path.write_bytes(whole[:kept])
            refused(call("verify", run), path)
        path.unlink()
        refused(call("verify", run), path)
        path.write_bytes(whole)
    assert call("verify", run).code == 0


@pytest.mark.parametrize(
    "command", ["train", *(pytest.param(c, marks=pytest.mark.slow) for c in ("sample", "evaluate"))]
)
def test_no_command_restores_a_damaged_checkpoint(nursery, small, run, command):
    """Drawing, measuring and resuming end with exit 4 and one line."""
    flip(max(files(run), key=lambda path: path.stat().st_size), random.Random(1))
    words = (run,)
    if command == "train":
        words = ("vae_digits", *OPTIONS, *small, "--run-dir", run, "--resume", "auto")
    done = nursery.run(command, *words)
    assert done.code == 4
    assert "step 40" in done.error()
    assert "sha256" in done.error()
    assert not (run / "samples" / "seed-0.png").exists()


def hurt(run, rng):
    """One of: a flipped bit, half a file, an empty file, a missing file, an added file."""
    path = rng.choice([path for path in files(run) if path.stat().st_size])
    way = rng.choice(["flip", "half", "empty", "delete", "add"])
    if way == "flip":
        flip(path, rng)
    elif way == "delete":
        path.unlink()
    elif way == "add":
        path.with_name("added").write_text("added")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if way == "half" else 0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_auto_stops_and_last_good_goes_on(nursery, law, small, run, seed):
    """auto: exit 4; last-good: tells both steps, keeps the damaged one aside, ends the same."""
    reference = nursery.reference("vae_digits", *OPTIONS, *small)
    hurt(run, random.Random(seed))
    bytes_before = {path.name: path.read_bytes() for path in files(run)}
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run, "--resume")
    stopped = nursery.run(*words, "auto")
    assert stopped.code == 4
    assert "step 40" in stopped.error()
    assert law.saved(run) == [35, 40]
    done = nursery.run(*words, "last-good")
    assert done.code == 0, done.err
    told = "checkpoint of step 40 is damaged and set aside; continuing from step 35"
    assert done.out.splitlines()[0] == told
    aside = run / "checkpoints" / "000000040.damaged"
    kept = {path.name: path.read_bytes() for path in aside.rglob("*") if path.is_file()}
    assert kept == bytes_before
    shutil.rmtree(aside)
    law.same(run, reference)
