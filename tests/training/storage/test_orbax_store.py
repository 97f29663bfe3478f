# SPDX-License-Identifier: Apache-2.0
"""Arrays keep every bit on the disk, and a full disk is one clean error."""

import errno
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jaxml.training.storage import leaves, orbax_store

DTYPES = [
    *(np.bool_, np.int8, np.int16, np.int32, np.int64),
    *(np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, np.float32, np.float64, np.complex64, np.complex128),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4),
]


def specs(arrays):
    return {name: leaves.spec(array) for name, array in arrays.items()}


def round_trip(path, arrays):
    orbax_store.write(path, arrays)
    return orbax_store.read(path, specs(arrays))


def same(a, b):
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_every_dtype_keeps_its_bits(tmp_path):
    """Random bits of every dtype, of ranks 0 to 3, come back as they were."""
    rng = np.random.default_rng(0)
    arrays = {}
    for dtype in map(np.dtype, DTYPES):
        for shape in [(), (5,), (2, 3), (3, 1, 2)]:
            n_bytes = int(np.prod(shape)) * dtype.itemsize
            raw = np.frombuffer(rng.bytes(n_bytes), np.uint8)
            raw = raw % 2 if dtype == np.bool_ else raw % 8 if dtype == ml_dtypes.int4 else raw
            arrays[f"{dtype.name}/{len(shape)}"] = raw.view(dtype).reshape(shape)
    back = round_trip(tmp_path / "arrays", arrays)
    assert back.keys() == arrays.keys()
    assert [name for name in arrays if not same(arrays[name], back[name])] == []


def test_zeros_of_both_signs_and_fortran_order(tmp_path):
    """-0 is no missing chunk, subnormals stay, and the memory order is no data."""
    arrays = {
        "minus": -np.zeros((4, 4), np.float32),
        "plus": np.zeros((4, 4), np.float32),
        "tiny": np.full(3, 1e-45, np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    back = round_trip(tmp_path / "arrays", arrays)
    assert all(same(arrays[name], back[name]) for name in arrays)
    assert np.signbit(back["minus"]).all()


def test_arrays_without_elements_come_back_by_their_shape(tmp_path):
    """Empty arrays are restored beside others, alone, and from no arrays at all."""
    empty = {"e": np.zeros((0, 3), np.float32), "f": np.zeros((2, 0), ml_dtypes.bfloat16)}
    for i, arrays in enumerate([{**empty, "x": np.ones(2)}, empty, {}]):
        back = round_trip(tmp_path / str(i), arrays)
        assert back.keys() == arrays.keys()
        assert all(same(arrays[name], back[name]) for name in arrays)


def test_any_path_is_a_name(tmp_path):
    """Names that look like paths, metadata or formats lead nowhere and do not collide."""
    names = ["..", ".", "../../x", "a", "a b", "a.b", "zarr.json", ".zarray", "é", "%2F", "x" * 200]
    names += ["deep/" * 20 + "leaf", "a~b/c", "manifest.ocdbt", "'\"", "{}", "-1"]
    arrays = {name: np.array([i], np.int32) for i, name in enumerate(names)}
    before = set(tmp_path.iterdir())
    back = round_trip(tmp_path / "arrays", arrays)
    assert {name: int(value[0]) for name, value in back.items()} == dict(
        zip(names, range(len(names)), strict=True)
    )
    assert set(tmp_path.iterdir()) - before == {tmp_path / "arrays"}


def test_no_room_is_found_before_orbax_begins(tmp_path, monkeypatch):
    """A full disk is an OSError with its number, and leaves nothing behind."""

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(orbax_store.ocp, "save", lambda *_: pytest.fail("Orbax was called"))
    with pytest.raises(OSError, match="No space left"):
        orbax_store.write(tmp_path / "arrays", {"x": np.ones(3)})
    assert list(tmp_path.iterdir()) == []


def test_the_room_asked_for_is_at_least_what_is_used(tmp_path, monkeypatch):
    """The reservation covers all bytes of the files that follow, for few and for many leaves."""
    asked = []
    reserve = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda f, a, n: (asked.append(n), reserve(f, a, n)))
    rng = np.random.default_rng(0)
    for i, (n_leaves, size) in enumerate([(1, 100_000), (1000, 1), (1, 1)]):
        path = tmp_path / str(i)
        orbax_store.write(path, {f"{j}": rng.normal(size=size) for j in range(n_leaves)})
        used = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        assert used <= asked[-1] <= 4 * used + 2**18


def test_a_file_system_that_cannot_reserve_is_tried(tmp_path, monkeypatch):
    """Where `posix_fallocate` is not supported the arrays are written all the same."""

    def unsupported(*_args):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    arrays = {"x": np.arange(3)}
    assert same(round_trip(tmp_path / "arrays", arrays)["x"], arrays["x"])


def test_orbax_is_silent_and_others_are_not(tmp_path, caplog):
    """Records of Orbax are dropped while it works; the logger is as it was afterwards."""
    log = logging.getLogger("absl")
    with orbax_store._orbax():
        record = log.makeRecord("absl", logging.ERROR, "/x/orbax/y.py", 1, "noise", (), None)
        assert not log.filter(record)
        record = log.makeRecord("absl", logging.ERROR, "/x/other/y.py", 1, "signal", (), None)
        assert log.filter(record)
    assert orbax_store._not_orbax not in log.filters


def test_a_name_that_is_not_there_is_an_error(tmp_path):
    """Reading what was not written fails; it invents no numbers."""
    orbax_store.write(tmp_path / "arrays", {"x": np.ones(3)})
    with pytest.raises(Exception, match=re.escape("y")):
        orbax_store.read(tmp_path / "arrays", specs({"y": np.ones(3)}))


def test_only_this_file_imports_orbax():
    """Orbax can be replaced in one place."""
    files = Path(orbax_store.__file__).parents[2].rglob("*.py")
    users = [file.name for file in files if re.search(r"(from|import) orbax", file.read_text())]
    assert users == ["orbax_store.py"]


def test_who_writes_a_picture_does_not_wait_for_orbax():
    """The package, its files but for checkpoints, and figures import without it."""
    script = """
import sys
import jaxml.training.figure, jaxml.training.storage.atomic, jaxml.training.storage.lock
sys.exit(any(name.split(".")[0] == "orbax" for name in sys.modules))
"""
    root = Path(orbax_store.__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=100)
