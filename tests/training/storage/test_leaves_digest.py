# SPDX-License-Identifier: Apache-2.0
"""Every bit of a tree counts in its digest, and nothing else does."""

import hashlib
import struct
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.training.storage import leaves


class Pair(NamedTuple):
    """A container with attribute paths."""

    left: object
    right: object


def test_the_digest_is_the_documented_sum():
    """sha256 of `path|dtype|shape|bytes`, leaves in sorted path order, written out by hand."""
    tree = {
        "b": Pair(jnp.array([1.0, -2.0]), jnp.array([[1], [2]], jnp.int32)),
        "a": [True, 3, 0.5, jnp.array([1.5], jnp.bfloat16), np.float64(2)],
        "k": jax.random.wrap_key_data(jnp.array([5, 6], jnp.uint32)),
    }
    expected = hashlib.sha256()
    for name, data in [
        ("a/0|bool|()|", b"\x01"),
        ("a/1|int64|()|", struct.pack("<q", 3)),
        ("a/2|float64|()|", struct.pack("<d", 0.5)),
        ("a/3|bfloat16|(1,)|", b"\xc0\x3f"),
        ("a/4|float64|()|", struct.pack("<d", 2.0)),
        ("b/left|float32|(2,)|", struct.pack("<2f", 1, -2)),
        ("b/right|int32|(2, 1)|", struct.pack("<2i", 1, 2)),
        ("k|uint32|(2,)|", struct.pack("<2I", 5, 6)),
    ]:
        expected.update(name.encode() + data)
    assert leaves.digest(tree) == expected.hexdigest()


def test_the_order_of_insertion_and_the_memory_layout_do_not_count():
    """Equal trees have equal digests: dict order, strides and byte order are no data."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    digest = leaves.digest({"a": x, "b": 1})
    assert leaves.digest({"b": 1, "a": x}) == digest
    for same in (np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2], x.astype(">f4"), jnp.asarray(x)):
        assert leaves.digest({"a": same, "b": 1}) == digest


def test_every_difference_changes_the_digest():
    """Another path, dtype, shape, value, sign of zero, key or implementation: another digest."""
    x = np.zeros(4, np.float32)
    trees = [
        {"a": x},
        {"b": x},
        {"a": {"a": x}},
        {"a": x.astype(np.int32)},
        {"a": x.reshape(2, 2)},
        {"a": x.reshape(4, 1)},
        {"a": -x},
        {"a": x, "b": np.zeros(0, np.float32)},
        {"a": x + np.float32(1e-45)},
        {"a": jax.random.key(0)},
        {"a": jax.random.key(1)},
        {"a": jax.random.key(0, impl="rbg")},
        {},
    ]
    assert len({leaves.digest(tree) for tree in trees}) == len(trees)
