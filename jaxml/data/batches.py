# SPDX-License-Identifier: Apache-2.0
"""Minibatches of arrays that fit on the device, gathered inside the compiled loop."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxml.data.order import ids, order
from jaxml.types import Array, Batch, Batches, Key


def in_memory(
    arrays: PyTree,
    batch_size: int,
    key: Key,
    *,
    keep_remainder: bool = False,
    shuffle: bool = True,
    process: int = 0,
    n_processes: int = 1,
) -> Batches:
    """Batch t = examples π_{key, e}(i) with e, i = divmod(t·B, n), read on the device.

    Args:
      arrays: A pytree of arrays with equal leading axes. They are copied to the device once;
        without 64-bit mode float64 becomes float32.
      batch_size: B, over all processes together.
      key: Names the order of every epoch.
      keep_remainder: See `jaxml.data.order.Order`.
      shuffle: False reads in the order of the data.
      process: The number of this process: it reads its own part of every batch.
      n_processes: The number of processes; the parts are disjoint and their union is the batch.

    Raises:
      ValueError: If the leading axes differ, an integer does not fit its 32 bits on the device, or
        the sizes do not fit together.
    """
    arrays = _on_device(arrays)
    n = n_examples(arrays)
    plan = order(
        n,
        batch_size,
        key,
        keep_remainder=keep_remainder,
        shuffle=shuffle,
        n_processes=n_processes,
    )
    if not 0 <= process < n_processes:
        raise ValueError(f"process: expected 0 to {n_processes - 1}, got {process}")

    def feed(first: int, n: int, capacity: int) -> PyTree:
        return arrays

    def take(data: PyTree, step: Array, offset: Array) -> Batch:
        rows = ids(plan, step, process=process)
        return jax.tree.map(lambda x: x.at[rows].get(mode="promise_in_bounds"), data)

    facts = {"sha256": sha256(arrays), "order": {**plan._asdict(), "key": list(plan.key)}}
    return Batches(feed, take, facts)


def drawn(sample: Callable[[Key], Batch], key: Key, **facts: str | int | float) -> Batches:
    """Batch t = sample(fold_in(key, t)): fresh draws at every step, none ever seen twice.

    Args:
      sample: `key -> batch`; traced into the compiled loop.
      key: names all draws.
      **facts: what a resume must find unchanged of the law that `sample` draws from; its name and
        the key are kept anyway.
    """

    def feed(first: int, n: int, capacity: int) -> PyTree:
        return ()

    def take(data: PyTree, step: Array, offset: Array) -> Batch:
        return sample(jax.random.fold_in(key, step))

    return Batches(feed, take, {"drawn": {"function": _name(sample), "key": _words(key), **facts}})


def mapped(batches: Batches, f: Callable[[Batch, Key], Batch], key: Key) -> Batches:
    """Batch t becomes f(batch_t, fold_in(key, t)): augmentation, binarization, dequantization.

    `f` is traced into the compiled loop and must be pure. The fingerprint keeps its name and the
    key, not its code.
    """

    def take(data: PyTree, step: Array, offset: Array) -> Batch:
        return f(batches.take(data, step, offset), jax.random.fold_in(key, step))

    facts = {**batches.fingerprint}
    facts["mapped"] = [*facts.get("mapped", []), {"function": _name(f), "key": _words(key)}]
    return Batches(batches.feed, take, facts)


def in_order(arrays: PyTree, batch_size: int) -> Iterator[tuple[Batch, np.ndarray]]:
    """Every example once, in the order of the data: pairs of a batch and a mask of its examples.

    All batches have one shape, so that an evaluation compiles once: the last is filled up with
    copies of the last example, where the mask is False.

    Raises:
      ValueError: If the batch size is below 1 or the leading axes differ.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    n = n_examples(arrays)
    for start in range(0, n, batch_size):
        rows = np.arange(start, start + batch_size)
        batch = jax.tree.map(lambda x, rows=rows: x[np.minimum(rows, n - 1)], arrays)
        yield batch, rows < n


def n_examples(arrays: PyTree) -> int:
    """The common length of the leading axes.

    Raises:
      ValueError: If there is no array, no leading axis, no example, or two different lengths.
    """
    lengths = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        name = jax.tree_util.keystr(path, simple=True, separator="/") or "the array"
        if np.ndim(leaf) == 0:
            raise ValueError(f"arrays: {name} has no leading axis of examples")
        lengths[name] = np.shape(leaf)[0]
    if not lengths:
        raise ValueError("arrays: expected at least one array, got an empty tree")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"arrays: expected equally many examples everywhere, but {found}")
    n = next(iter(lengths.values()))
    if n == 0:
        raise ValueError("arrays: expected at least one example, got none")
    return n


def sha256(arrays: PyTree) -> str:
    """The sha256 of `path|dtype|shape|bytes` over the leaves in the order of their paths."""
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.ascontiguousarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(arrays)
    }
    found = hashlib.sha256()
    for path, leaf in sorted(leaves.items()):
        found.update(f"{path}|{leaf.dtype}|{leaf.shape}|".encode())
        found.update(leaf.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _on_device(arrays: PyTree) -> PyTree:
    def put(path, leaf):
        leaf = np.asarray(leaf) if not isinstance(leaf, jax.Array) else leaf
        name = jax.tree_util.keystr(path, simple=True, separator="/") or "the array"
        kind = np.dtype(leaf.dtype) if not jnp.issubdtype(leaf.dtype, jax.dtypes.extended) else None
        if kind is None or (kind.kind not in "biufc" and not jnp.issubdtype(kind, jnp.floating)):
            raise ValueError(f"arrays: {name} holds {leaf.dtype}, expected numbers")
        device_dtype = jax.dtypes.canonicalize_dtype(kind)
        if kind.kind in "iu" and device_dtype != kind and leaf.size:
            info = np.iinfo(device_dtype)
            if leaf.min() < info.min or leaf.max() > info.max:
                raise ValueError(f"arrays: {name} holds integers beyond {device_dtype}")
        # A copy: jnp.asarray may share the caller's memory on a CPU, and a later write would show.
        return jnp.array(leaf, dtype=device_dtype)

    return jax.tree_util.tree_map_with_path(put, arrays)


def _words(key: Key) -> list[int]:
    return [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]


def _name(f: Callable) -> str:
    while isinstance(f, partial):
        f = f.func
    return getattr(f, "__qualname__", type(f).__qualname__)


__all__ = ["in_memory", "in_order", "mapped", "n_examples", "sha256"]
