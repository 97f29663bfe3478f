# SPDX-License-Identifier: Apache-2.0
"""Arrays on disk: mapped where they lie, and told apart by their bytes."""

import hashlib
import pickle  # noqa: TID251  (reading processes receive the description of a file so)

import numpy as np
import pytest

from jaxml.data import disk
from jaxml.data.disk import block_starts, on_disk
from jaxml.data.error import DataError


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12.0).reshape(4, 3),
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(5, dtype=">i2"),
        np.array([True, False]),
        np.zeros((3, 0)),
    ],
)
def test_a_map_is_the_array(tmp_path, value):
    """As .npy and as a stored member of an .npz, next to other members."""
    np.save(tmp_path / "v.npy", value)
    np.savez(tmp_path / "v.npz", before=np.ones(7), v=value, after=np.ones(3))
    for found in (on_disk(tmp_path / "v.npy"), on_disk(tmp_path / "v.npz", "v")):
        if value.size:
            np.testing.assert_array_equal(found.map(), value)
        assert found.shape == value.shape
        assert found.n_bytes == value.nbytes
        assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301


def test_the_sum_is_that_of_the_values(tmp_path):
    value = np.arange(400_000, dtype=np.float64)
    np.save(tmp_path / "v.npy", value)
    assert on_disk(tmp_path / "v.npy").sha256() == hashlib.sha256(value.tobytes()).hexdigest()


def test_large_files_are_sampled_from_end_to_end(tmp_path, monkeypatch):
    """At most 1024 blocks, the first and the last among them, none beyond the end."""
    assert block_starts(2**30) == list(range(0, 2**30, 2**20))
    starts = block_starts(10 * 2**30 + 12345)
    assert len(starts) == 1024
    assert starts[0] == 0
    assert starts[-1] == 10 * 2**30 + 12345 - 2**20
    assert np.diff(starts).min() >= 2**20
    monkeypatch.setattr(disk, "N_BLOCKS", 3)
    value = np.zeros(8 * 2**20, np.uint8)
    sums = set()
    for place in (None, 0, 4 * 2**20, 8 * 2**20 - 1, 2 * 2**20):
        changed = value.copy()
        if place is not None:
            changed[place] = 1
        np.save(tmp_path / "v.npy", changed)
        sums.add(on_disk(tmp_path / "v.npy").sha256())
    assert len(sums) == 4  # the last place lies between the blocks


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.float64(1.0), "no leading axis"),
        (np.array(["a"]), "holds <U1"),
        (np.array([1j]), "holds complex128"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, value, reason):
    np.save(tmp_path / "v.npy", value)
    with pytest.raises(DataError, match=reason):
        on_disk(tmp_path / "v.npy")


def test_damage_is_refused(tmp_path):
    np.savez(tmp_path / "v.npz", v=np.arange(1000))
    whole = (tmp_path / "v.npz").read_bytes()
    with pytest.raises(DataError, match="has no array 'w'; it has v"):
        on_disk(tmp_path / "v.npz", "w")
    (tmp_path / "v.npz").write_bytes(b"\0" * 4 + whole[4:])
    with pytest.raises(DataError, match=r"v\.npz"):
        on_disk(tmp_path / "v.npz", "v")
    np.save(tmp_path / "v.npy", np.arange(10))
    (tmp_path / "v.npy").write_bytes((tmp_path / "v.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match="is truncated: the array needs 80 bytes, has 79"):
        on_disk(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.arange(10))
    (tmp_path / "v.npy").write_bytes((tmp_path / "v.npy").read_bytes() + b"0")
    with pytest.raises(DataError, match="has trailing bytes: the array needs 80 bytes, has 81"):
        on_disk(tmp_path / "v.npy")
