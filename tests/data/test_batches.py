# SPDX-License-Identifier: Apache-2.0
"""Batches are a pure function of the step: of nothing before it, and of no process around it."""

import hashlib
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.data.batches import drawn, in_memory, in_order, mapped, n_examples, sha256
from jaxml.data.order import example_ids

N = 50
ARRAYS = {
    "x": np.arange(N * 6, dtype=np.float32).reshape(N, 2, 3),
    "y": np.arange(N, dtype=np.int32),
}


def batch_at(batches, step, first=0, capacity=8):
    """The batch of a step, taken inside a compiled function."""
    data = batches.feed(first, capacity, capacity)
    return jax.jit(batches.take)(data, jnp.int32(step), jnp.int32(step - first))


@pytest.mark.parametrize("keep_remainder", [False, True])
def test_a_batch_holds_the_rows_that_example_ids_names(keep_remainder):
    batches = in_memory(ARRAYS, 12, jax.random.key(0), keep_remainder=keep_remainder)
    for step in range(9):
        batch = batch_at(batches, step)
        rows = np.asarray(example_ids(batches.fingerprint, step))
        np.testing.assert_array_equal(batch["y"], ARRAYS["y"][rows])
        np.testing.assert_array_equal(batch["x"], ARRAYS["x"][rows])


def test_the_step_alone_decides_not_where_the_feed_began():
    batches = in_memory(ARRAYS, 12, jax.random.key(0))
    for first in range(6):
        batch = batch_at(batches, 5, first=first)
        np.testing.assert_array_equal(batch["y"], batch_at(batches, 5)["y"])


def test_the_feed_is_the_same_arrays_each_time():
    batches = in_memory(ARRAYS, 12, jax.random.key(0))
    assert batches.feed(0, 1, 4)["x"] is batches.feed(100, 4, 4)["x"]


def test_scanning_equals_calling():
    batches = in_memory(ARRAYS, 12, jax.random.key(0))
    data = batches.feed(0, 9, 9)

    def step(carry, t):
        return carry, batches.take(data, t, t)["y"]

    _, scanned = jax.lax.scan(step, None, jnp.arange(9, dtype=jnp.int32))
    for t in range(9):
        np.testing.assert_array_equal(scanned[t], batch_at(batches, t)["y"])


def test_processes_read_disjoint_parts_of_one_batch():
    alone = in_memory(ARRAYS, 12, jax.random.key(0))
    parts = [in_memory(ARRAYS, 12, jax.random.key(0), process=i, n_processes=2) for i in range(2)]
    for step in range(5):
        rows = [np.asarray(batch_at(part, step)["y"]) for part in parts]
        np.testing.assert_array_equal(np.concatenate(rows), batch_at(alone, step)["y"])
    with pytest.raises(ValueError, match="process:"):
        in_memory(ARRAYS, 12, jax.random.key(0), process=2, n_processes=2)


def test_without_shuffling_the_rows_come_in_order():
    batches = in_memory(ARRAYS, 10, jax.random.key(0), shuffle=False)
    np.testing.assert_array_equal(batch_at(batches, 2)["y"], np.arange(20, 30))


def test_a_later_write_to_the_callers_array_changes_nothing():
    # JAX shares the memory of a NumPy array that begins at a multiple of 64 bytes.
    raw = np.zeros(64 * 4 + 64, np.uint8)
    own = {"y": raw[-raw.ctypes.data % 64 :][: 64 * 4].view(np.float32)}
    own["y"][:] = np.arange(64)
    batches = in_memory(own, 64, jax.random.key(0), shuffle=False)
    own["y"][:] = -1
    np.testing.assert_array_equal(batch_at(batches, 0)["y"], np.arange(64))


def test_mapped_folds_the_step_into_the_key_and_keeps_the_ids():
    batches = in_memory(ARRAYS, 12, jax.random.key(0))

    def noise(batch, key, scale):
        return {**batch, "x": batch["x"] + scale * jax.random.normal(key, batch["x"].shape)}

    noisy = mapped(batches, partial(noise, scale=2.0), jax.random.key(1))
    for step in (0, 3):
        expected = noise(batch_at(batches, step), jax.random.fold_in(jax.random.key(1), step), 2.0)
        np.testing.assert_allclose(batch_at(noisy, step)["x"], expected["x"], rtol=1e-6)
    assert json.loads(json.dumps(noisy.fingerprint))["mapped"][0]["function"].endswith("noise")
    twice = mapped(noisy, partial(noise, scale=1.0), jax.random.key(2))
    assert len(twice.fingerprint["mapped"]) == 2
    np.testing.assert_array_equal(
        example_ids(twice.fingerprint, 3), example_ids(batches.fingerprint, 3)
    )


def changed(**change):
    given = {"arrays": ARRAYS, "batch_size": 12, "key": jax.random.key(0), **change}
    return dict(in_memory(**given).fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": {"x": ARRAYS["x"] + 1, "y": ARRAYS["y"]}},
        {"arrays": {"x": ARRAYS["x"].reshape(N, 3, 2), "y": ARRAYS["y"]}},
        {"arrays": {"x": ARRAYS["x"], "z": ARRAYS["y"]}},
        {"arrays": {"x": ARRAYS["x"], "y": ARRAYS["y"].astype(np.uint32)}},
        {"arrays": jax.tree.map(lambda x: x[:-1], ARRAYS)},
        {"batch_size": 10},
        {"key": jax.random.key(1)},
        {"keep_remainder": True},
        {"shuffle": False},
        {"n_processes": 2},
    ],
)
def test_whatever_changes_the_data_changes_the_fingerprint(change):
    """Bytes, shape, name, dtype, length, batch size, seed, remainder, shuffling, processes."""
    assert changed() == changed()
    assert changed(**change) != changed()


def test_the_fingerprint_is_json_and_the_same_in_every_process_of_a_run():
    facts = changed(n_processes=2)
    assert facts == changed(n_processes=2, process=1)
    assert json.loads(json.dumps(facts)) == facts


def test_sha256_is_that_of_paths_dtypes_shapes_and_bytes():
    """Independent of the order of insertion and of the memory layout."""
    expected = hashlib.sha256()
    for name in ("x", "y"):
        value = ARRAYS[name]
        expected.update(f"{name}|{value.dtype}|{value.shape}|".encode() + value.tobytes())
    assert sha256(ARRAYS) == expected.hexdigest()
    other = {"y": ARRAYS["y"], "x": np.asfortranarray(ARRAYS["x"])}
    assert sha256(other) == expected.hexdigest()


@pytest.mark.parametrize("batch_size", [1, 7, 25, 50, 64])
def test_in_order_covers_every_example_once_in_one_shape(batch_size):
    seen = []
    for batch, mask in in_order(ARRAYS, batch_size):
        assert batch["x"].shape == (batch_size, 2, 3)
        seen.append(batch["y"][mask])
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(N))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "empty"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, "x has 3, y has 4"),
        ({"x": np.float32(1.0)}, "x has no leading axis"),
        ({"x": np.zeros((0, 3))}, "got none"),
    ],
)
def test_unequal_arrays_are_refused_by_name(arrays, message):
    with pytest.raises(ValueError, match=message):
        n_examples(arrays)
    with pytest.raises(ValueError, match=r"arrays|at least one"):
        in_memory(arrays, 1, jax.random.key(0))


def test_arrays_that_the_device_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="id holds integers beyond int32"):
        in_memory({"id": np.array([2**31])}, 1, jax.random.key(0))
    with pytest.raises(ValueError, match="name holds <U1, expected numbers"):
        in_memory({"name": np.array(["a"])}, 1, jax.random.key(0))
    with pytest.raises(ValueError, match="expected numbers"):
        in_memory({"k": jax.random.split(jax.random.key(0), 4)}, 1, jax.random.key(0))


def test_drawn_batches_are_a_function_of_the_step():
    """Fresh at every step, the same again at the same step, whatever came before."""
    sample = partial(jax.random.normal, shape=(3,))
    batches = drawn(sample, jax.random.key(0), law="normal")
    data = batches.feed(5, 2, 2)
    one, other = (batches.take(data, jnp.int32(t), jnp.int32(t - 5)) for t in (5, 6))
    np.testing.assert_array_equal(one, sample(jax.random.fold_in(jax.random.key(0), 5)))
    assert np.abs(one - other).max() > 0
    assert batches.fingerprint["drawn"]["law"] == "normal"
    assert batches.fingerprint != drawn(sample, jax.random.key(1), law="normal").fingerprint
