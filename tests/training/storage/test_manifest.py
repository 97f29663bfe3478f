# SPDX-License-Identifier: Apache-2.0
"""Every byte below a sealed directory counts."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxml.training.storage import manifest
from jaxml.training.storage.directory import CheckpointError
from jaxml.training.storage.manifest import DamagedError


@pytest.fixture
def sealed(tmp_path):
    """A sealed directory with nested, empty and spaced file names."""
    root = tmp_path / "root"
    (root / "arrays" / "d").mkdir(parents=True)
    rng = np.random.default_rng(0)
    (root / "arrays" / "d" / "data").write_bytes(rng.bytes(2000))
    (root / "arrays" / "a name").write_bytes(rng.bytes(300))
    (root / "metadata.json").write_text("{}")
    (root / "marker").touch()
    manifest.write(root)
    return root


def files(root):
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_an_untouched_directory_passes(sealed):
    """Checking changes nothing and may be repeated."""
    before = {path: path.read_bytes() for path in files(sealed)}
    manifest.check(sealed)
    manifest.check(sealed)
    assert {path: path.read_bytes() for path in files(sealed)} == before


def test_coreutils_agree(sealed):
    """Both files are what `sha256sum -c` reads, and it finds the same hashes."""
    command = ["sha256sum", "--check", "--strict", "manifest.sha256", "manifest.sha256.seal"]
    done = subprocess.run(command, cwd=sealed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == 5


def test_every_flipped_bit_is_refused(sealed):
    """Each bit of a random 1 in 8 bytes of every file, and of the first bytes of all: 0 pass."""
    rng = np.random.default_rng(1)
    n_flips = 0
    for path in files(sealed):
        data = path.read_bytes()
        for offset in range(len(data)):
            if offset >= 8 and rng.random() > 1 / 8:
                continue
            flipped = bytearray(data)
            flipped[offset] ^= 1 << rng.integers(8)
            path.write_bytes(flipped)
            with pytest.raises(DamagedError):
                manifest.check(sealed)
            n_flips += 1
        path.write_bytes(data)
    manifest.check(sealed)
    assert n_flips > 300


def test_the_error_names_the_file(sealed):
    """Of the sealed files, the one that changed is named."""
    path = sealed / "arrays" / "a name"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedError, match=f"^{re.escape(str(path))}: its bytes differ"):
        manifest.check(sealed)


def test_missing_truncated_and_added_files_are_refused(sealed):
    """Deleting, emptying or halving any file is refused, and so is a file that was not there."""
    for path in files(sealed):
        data = path.read_bytes()
        for shorter in {data[: len(data) // 2], b""} - {data}:
            path.write_bytes(shorter)
            with pytest.raises(DamagedError):
                manifest.check(sealed)
        path.unlink()
        with pytest.raises(DamagedError, match=re.escape(str(path))):
            manifest.check(sealed)
        path.write_bytes(data)
    (sealed / "arrays" / "new").touch()
    with pytest.raises(DamagedError, match="arrays/new: is not listed"):
        manifest.check(sealed)


def test_links_and_special_files_are_refused(sealed, tmp_path):
    """A link to the very bytes that were sealed is refused, as are a linked directory, a FIFO."""
    path = sealed / "arrays" / "a name"
    shutil.move(path, tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(DamagedError, match="a name is a symbolic link"):
        manifest.check(sealed)
    path.unlink()
    shutil.move(tmp_path / "outside", path)
    manifest.check(sealed)
    shutil.move(sealed / "arrays", tmp_path / "arrays")
    (sealed / "arrays").symlink_to(tmp_path / "arrays")
    with pytest.raises(DamagedError, match="arrays is a symbolic link"):
        manifest.check(sealed)
    (sealed / "arrays").unlink()
    shutil.move(tmp_path / "arrays", sealed / "arrays")
    os.mkfifo(sealed / "pipe")
    with pytest.raises(DamagedError, match="pipe is a symbolic link or a special file"):
        manifest.check(sealed)


def test_the_directory_itself_is_no_link(sealed, tmp_path):
    """A link to a sealed directory, a file and a missing path are not what was sealed."""
    (tmp_path / "link").symlink_to(sealed)
    for path in (tmp_path / "link", sealed / "marker", tmp_path / "missing"):
        with pytest.raises(DamagedError, match=f"{path.name}: is not a directory of its own"):
            manifest.check(path)


def test_a_resealed_list_cannot_lead_outside(sealed, tmp_path):
    """A manifest that names a path outside is refused without opening it."""
    (tmp_path / "secret").write_text("x")
    lines = (sealed / "manifest.sha256").read_text() + "0" * 64 + "  ../secret\n"
    (sealed / "manifest.sha256").write_text(lines)
    (sealed / "manifest.sha256.seal").write_bytes(manifest._seal(lines.encode()))
    with pytest.raises(DamagedError, match=r"\.\./secret: is missing"):
        manifest.check(sealed)


@pytest.mark.parametrize(
    "line", ["junk", "0" * 63 + "  a", "0" * 64 + " a", "\n".join(["0" * 64 + "  a"] * 2)]
)
def test_a_resealed_list_that_is_no_list_is_refused(sealed, line):
    """The format of each line is checked even where the seal fits."""
    (sealed / "manifest.sha256").write_text(line + "\n")
    (sealed / "manifest.sha256.seal").write_bytes(manifest._seal((line + "\n").encode()))
    with pytest.raises(DamagedError, match="is not a list"):
        manifest.check(sealed)


def test_names_and_links_that_cannot_be_sealed(tmp_path):
    """A line break in a name and a link are refused when sealing, not discovered later."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x\ny").touch()
    with pytest.raises(ValueError, match="cannot stand in a manifest"):
        manifest.write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to("x")
    with pytest.raises(ValueError, match="symbolic link"):
        manifest.write(tmp_path / "b")


def test_everything_is_synchronized(sealed, monkeypatch):
    """Sealing calls fsync on every file and on every directory."""
    synchronized = set()
    fsync = os.fsync

    def record(descriptor):
        synchronized.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    (sealed / manifest.MANIFEST).unlink()
    (sealed / manifest.SEAL).unlink()
    monkeypatch.setattr(os, "fsync", record)
    manifest.write(sealed)
    assert synchronized == {str(path) for path in [sealed, *sealed.rglob("*")]}


def test_a_file_that_may_not_be_read_is_not_called_damaged(sealed, monkeypatch):
    """Permission is no damage: the checkpoint would be set aside for nothing."""

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied") as caught:
        manifest.check(sealed)
    assert not isinstance(caught.value, DamagedError)
