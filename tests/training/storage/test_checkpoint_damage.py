# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that is not what was saved is refused by name, kept, and passed over."""

import json
import re
import shutil

import numpy as np
import pytest

from jaxml.training.storage import checkpoint, header, manifest
from jaxml.training.storage.checkpoint import CheckpointError, DamagedError


def flip(path, offset, bit=0):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def test_flipped_bits_are_refused(directory, fill, small):
    """100 random (file, byte, bit) over all files of the newest checkpoint: 100 of 100 refused."""
    fill(directory, 5, 10)
    step = directory / "000000010"
    files = sorted(path for path in step.rglob("*") if path.is_file() and path.stat().st_size)
    rng = np.random.default_rng(0)
    touched = set()
    for _ in range(100):
        path = files[rng.integers(len(files))]
        offset, bit = int(rng.integers(path.stat().st_size)), int(rng.integers(8))
        flip(path, offset, bit)
        with pytest.raises(DamagedError, match=r"000000010/.*: step 10: ") as caught:
            checkpoint.load(directory, 10, small())
        assert str(caught.value).isprintable()
        flip(path, offset, bit)
        touched.add(path)
    assert touched == set(files), "every file was hit"
    checkpoint.load(directory, 10, small())


def test_truncated_and_deleted_files_are_refused(directory, fill, small):
    """Each file cut to half, to nothing, and deleted: refused with the file and the step."""
    fill(directory, 10)
    files = sorted(path for path in (directory / "000000010").rglob("*") if path.is_file())
    assert len(files) >= 8
    for path in files:
        data = path.read_bytes()
        for shorter in {data[: len(data) // 2], b""} - {data}:
            path.write_bytes(shorter)
            with pytest.raises(DamagedError, match=r"000000010/.*: step 10: "):
                checkpoint.verify(directory, 10)
        path.unlink()
        with pytest.raises(DamagedError, match=re.escape(f"{path}: step 10: ")):
            checkpoint.load(directory, 10, small())
        path.write_bytes(data)
    checkpoint.verify(directory, 10)


def test_links_and_other_steps_are_refused(directory, tmp_path, fill, small):
    """A linked file, a linked checkpoint, and a checkpoint under the name of another step."""
    fill(directory, 1, 2)
    (directory / "000000003").symlink_to("000000002")
    with pytest.raises(DamagedError, match="000000003: step 3: is not a directory"):
        checkpoint.load(directory, 3, small())
    shutil.copytree(directory / "000000002", directory / "000000004")
    with pytest.raises(DamagedError, match="step 4: holds step 2"):
        checkpoint.load(directory, 4, small())
    metadata = directory / "000000002" / header.FILE
    shutil.move(metadata, tmp_path / "outside")
    metadata.symlink_to(tmp_path / "outside")
    with pytest.raises(DamagedError, match=r"step 2: .* symbolic link"):
        checkpoint.load(directory, 2, small())


@pytest.mark.parametrize("n_damaged", [1, 2])
def test_the_last_good_is_found_and_damage_is_kept(directory, n_damaged, fill, small):
    """auto names the damaged newest; last-good takes the newest whole one and sets others aside."""
    fill(directory, 5, 10, 15, 20)
    damaged = (20, 15)[:n_damaged]
    for step in damaged:
        flip(directory / f"{step:09d}" / header.FILE, 30)
    assert checkpoint.latest(directory) == 20
    with pytest.raises(DamagedError, match="step 20"):
        checkpoint.load(directory, 20, small())
    good = 20 - 5 * n_damaged
    assert checkpoint.latest_good(directory) == (good, damaged)
    assert checkpoint.latest_good(directory) == (good, ())
    assert checkpoint.latest(directory) == good
    for step in damaged:
        assert (directory / f"{step:09d}.damaged" / header.FILE).is_file()
    back, _ = checkpoint.load(directory, good, small())
    assert checkpoint.digest(back) == checkpoint.digest(small(good))
    fill(directory, 20)
    assert checkpoint.latest_good(directory) == (20, ())


def test_when_all_are_damaged_nothing_is_moved(directory, fill, names):
    """The steps are named, and everything stays for inspection."""
    fill(directory, 5, 10)
    for step in (5, 10):
        flip(directory / f"{step:09d}" / header.FILE, 30)
    with pytest.raises(CheckpointError, match="every checkpoint is damaged: step 10, 5"):
        checkpoint.latest_good(directory)
    assert names(directory) == ["000000005", "000000010"]


def reseal(path, **changes):
    """Write other facts into a checkpoint, and a manifest that fits them."""
    facts = json.loads((path / header.FILE).read_text()) | changes
    (path / header.FILE).write_text(json.dumps(facts))
    (path / manifest.MANIFEST).unlink()
    (path / manifest.SEAL).unlink()
    manifest.write(path)


def test_a_newer_format_is_refused_and_not_set_aside(directory, fill, names, small):
    """A checkpoint of a later version is not damaged: last-good stops at it and moves nothing."""
    fill(directory, 5, 10)
    reseal(directory / "000000010", version=2)
    for ask in (
        lambda: checkpoint.load(directory, 10, small()),
        lambda: checkpoint.latest_good(directory),
    ):
        with pytest.raises(CheckpointError, match="step 10: format version 2 is newer") as caught:
            ask()
        assert not isinstance(caught.value, DamagedError)
    assert names(directory) == ["000000005", "000000010"]
