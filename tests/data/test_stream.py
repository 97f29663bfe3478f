# SPDX-License-Identifier: Apache-2.0
"""Reading from disk changes nothing: not the order, not the values, whoever reads how far ahead."""

import hashlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.data.batches import in_memory
from jaxml.data.disk import extract, on_disk
from jaxml.data.error import DataError
from jaxml.data.order import example_ids
from jaxml.data.stream import stream

pytest.importorskip("grain")

N = 103
ARRAYS = {
    "x": np.random.default_rng(0).normal(size=(N, 3, 2)).astype(np.float32),
    "y": np.arange(N, dtype=np.int32),
}


@pytest.fixture
def files(tmp_path):
    """One array as .npy, the other as a stored member of an .npz."""
    np.save(tmp_path / "x.npy", ARRAYS["x"])
    np.savez(tmp_path / "y.npz", other=np.zeros(3), y=ARRAYS["y"])
    return {"x": on_disk(tmp_path / "x.npy"), "y": on_disk(tmp_path / "y.npz", "y")}


def read(batches, steps, first=0, chunk=7):
    """Batches of consecutive steps, fed in chunks of a fixed capacity."""
    take = jax.jit(batches.take)
    found = []
    for start in range(first, first + steps, chunk):
        n = min(chunk, first + steps - start)
        data = batches.feed(start, n, chunk)
        found += [take(data, jnp.int32(start + i), jnp.int32(i)) for i in range(n)]
    return found


def digest(batches):
    total = hashlib.sha256()
    for batch in batches:
        total.update(np.asarray(batch["x"]).tobytes() + np.asarray(batch["y"]).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("keep_remainder", [False, True])
def test_streamed_batches_equal_those_in_memory(files, keep_remainder):
    """Same values, dtypes, fingerprint and example ids as `in_memory`, over several epochs."""
    options = {"keep_remainder": keep_remainder}
    disk = stream(files, 10, jax.random.key(3), **options)
    memory = in_memory(ARRAYS, 10, jax.random.key(3), **options)
    assert disk.fingerprint == memory.fingerprint
    for step, (found, expected) in enumerate(zip(read(disk, 35), read(memory, 35), strict=True)):
        np.testing.assert_array_equal(found["x"], expected["x"])
        np.testing.assert_array_equal(found["y"], expected["y"])
        assert found["x"].dtype == expected["x"].dtype
        np.testing.assert_array_equal(found["y"], example_ids(disk.fingerprint, step))


def test_a_feed_may_begin_anywhere_and_jump_back(files):
    batches = stream(files, 10, jax.random.key(3))
    straight = [batch["y"] for batch in read(batches, 20)]
    for first in (13, 2, 19, 0):
        again = read(batches, 1, first=first)[0]["y"]
        np.testing.assert_array_equal(again, straight[first])


def test_shapes_of_a_feed_depend_on_the_capacity_alone(files):
    batches = stream(files, 10, jax.random.key(3))
    shapes = {jax.tree.map(jnp.shape, batches.feed(0, n, 8))["x"] for n in (1, 3, 8)}
    assert shapes == {(8, 10, 3, 2)}


@pytest.mark.parametrize("prefetch", [1, 2, 8])
def test_reading_ahead_changes_nothing(files, prefetch):
    expected = digest(read(in_memory(ARRAYS, 10, jax.random.key(3)), 60))
    assert digest(read(stream(files, 10, jax.random.key(3), prefetch=prefetch), 60)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("n_workers", "prefetch"), [(0, 1), (0, 8), (1, 2), (2, 1), (2, 8)])
def test_worker_processes_change_nothing(files, n_workers, prefetch):
    """The sha256 of the first 500 batches is that of the batches in memory, five times of five."""
    expected = digest(read(in_memory(ARRAYS, 10, jax.random.key(3)), 500, chunk=50))
    options = {"n_workers": n_workers, "prefetch": prefetch}
    found = digest(read(stream(files, 10, jax.random.key(3), **options), 500, chunk=50))
    assert found == expected


def test_processes_read_disjoint_parts_of_one_batch(files):
    whole = read(stream(files, 10, jax.random.key(3)), 12)
    parts = [
        read(stream(files, 10, jax.random.key(3), process=i, n_processes=2), 12) for i in range(2)
    ]
    for step in range(12):
        both = np.concatenate([parts[0][step]["y"], parts[1][step]["y"]])
        np.testing.assert_array_equal(both, whole[step]["y"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0, np.nan, 3.0]), "holds nan in row 1"),
        (np.array([1.0, 2.0, np.inf], np.float32), "holds inf in row 2"),
        (np.array([2**31, 0, 0]), "holds 2147483648 in row 0"),
    ],
)
def test_values_that_cannot_be_trained_on_are_refused_with_their_row(tmp_path, values, message):
    np.save(tmp_path / "v.npy", values)
    batches = stream(on_disk(tmp_path / "v.npy"), 3, jax.random.key(0))
    with pytest.raises(DataError, match=rf"v\.npy: {message}"):
        batches.feed(0, 1, 1)


def test_wide_numbers_become_those_of_the_device(tmp_path):
    """float64, int64 and big-endian values arrive as float32 and int32."""
    values = {
        "a": np.linspace(0, 1, 5),
        "b": np.arange(5),
        "c": np.arange(5, dtype=">f4"),
        "d": np.asfortranarray(np.arange(10.0, dtype=np.float32).reshape(5, 2)),
    }
    for name, value in values.items():
        np.save(tmp_path / f"{name}.npy", value)
    files = {name: on_disk(tmp_path / f"{name}.npy") for name in values}
    batch = read(stream(files, 5, jax.random.key(0), shuffle=False), 1)[0]
    for name, value in values.items():
        np.testing.assert_array_equal(batch[name], value.astype("f4" if name != "b" else "i4"))


def test_compressed_members_are_extracted_first(tmp_path):
    np.savez_compressed(tmp_path / "y.npz", y=ARRAYS["y"])
    with pytest.raises(DataError, match="y is compressed: extract it"):
        on_disk(tmp_path / "y.npz", "y")
    found = extract(tmp_path / "y.npz", "y", tmp_path / "y.npy")
    np.testing.assert_array_equal(found.map(), ARRAYS["y"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["y.npy", "y.npz"]
    with pytest.raises(DataError, match=r"y\.npy: exists already"):
        extract(tmp_path / "y.npz", "y", tmp_path / "y.npy")
    with pytest.raises(DataError, match=r"absent/y\.npy: cannot be written"):
        extract(tmp_path / "y.npz", "y", tmp_path / "absent" / "y.npy")


def test_a_file_that_shrinks_is_reported(files, tmp_path):
    batches = stream(files, 10, jax.random.key(3))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:200])
    with pytest.raises(DataError, match=r"x\.npy: can no longer be mapped"):
        batches.feed(0, 1, 1)


def test_a_missing_grain_is_named(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(DataError, match=r"pip install 'jaxml\[data\]'"):
        stream(files, 10, jax.random.key(3))


def test_unequal_lengths_are_refused(files, tmp_path):
    np.save(tmp_path / "z.npy", np.zeros(5))
    with pytest.raises(ValueError, match="x has 103, z has 5"):
        stream({"x": files["x"], "z": on_disk(tmp_path / "z.npy")}, 5, jax.random.key(0))


@pytest.mark.slow
def test_errors_of_a_worker_process_arrive_whole(tmp_path):
    np.save(tmp_path / "v.npy", np.array([1.0, np.nan, 3.0]))
    batches = stream(on_disk(tmp_path / "v.npy"), 3, jax.random.key(0), n_workers=1)
    with pytest.raises(DataError, match=r"v\.npy: holds nan in row 1") as caught:
        batches.feed(0, 1, 1)
    assert caught.value.path.endswith("v.npy")
