# SPDX-License-Identifier: Apache-2.0
"""Minibatches of arrays larger than memory, read ahead by Grain in the same order as in memory."""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxml.data.batches import n_examples
from jaxml.data.disk import OnDisk
from jaxml.data.error import DataError
from jaxml.data.order import Order, ids, order
from jaxml.types import Array, Batch, Batches, Key

MAX_STEPS = 2**31 - 1


def stream(
    arrays: PyTree,
    batch_size: int,
    key: Key,
    *,
    keep_remainder: bool = False,
    shuffle: bool = True,
    process: int = 0,
    n_processes: int = 1,
    n_workers: int = 0,
    prefetch: int = 8,
) -> Batches:
    """`in_memory` for arrays on disk: batch t = examples π_{key, e}(i), the same in the same order.

    Grain reads ahead; it decides when a batch is read and never which. Its own shuffling and its
    checkpoints are not used: the step says everything. The sha256 in the fingerprint is the one
    that `in_memory` computes for the same arrays, up to 1 GiB each; of larger arrays it covers
    1024 evenly spaced blocks of 1 MiB, so that starting does not read the whole file.

    Args:
      arrays: A pytree of `jaxml.data.on_disk(path)` with equal leading axes.
      batch_size: Examples in a step, over all processes together.
      key: Names the order of every epoch.
      keep_remainder: See `jaxml.data.order.Order`.
      shuffle: False reads in the order of the data.
      process: The number of this process.
      n_processes: The number of processes.
      n_workers: Reading processes; 0 reads in threads. Above 0 the program must be importable
        (`if __name__ == "__main__":`), since Grain starts the workers afresh.
      prefetch: Batches read ahead, for each worker.

    Raises:
      DataError: If Grain is not installed, or while reading: a value is NaN, infinite or too large
        for the device's 32 bits.
      ValueError: If the sizes do not fit together.
    """
    if n_workers < 0 or prefetch < 1:
        raise ValueError(
            "n_workers, prefetch: expected at least 0 and at least 1, "
            f"got {n_workers} and {prefetch}"
        )
    try:
        import grain
        from absl import flags
    except ImportError:
        raise DataError("stream", "needs Grain: pip install 'jaxml[data]'") from None

    leaves, structure = jax.tree.flatten(arrays)
    n = n_examples(jax.tree.unflatten(structure, [_Extent(leaf.shape) for leaf in leaves]))
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
    stored = [np.dtype(leaf.dtype).newbyteorder("=") for leaf in leaves]
    dtypes = [jax.dtypes.canonicalize_dtype(dtype).str for dtype in stored]

    def read_from(first: int) -> Iterator[list[np.ndarray]]:
        steps = _Steps(leaves, dtypes, plan, process, first)
        threads = grain.ReadOptions(num_threads=min(4, prefetch), prefetch_buffer_size=prefetch)
        dataset = grain.MapDataset.source(steps).to_iter_dataset(threads)
        if n_workers:
            if not flags.FLAGS.is_parsed():  # Grain reads them; outside absl.app nobody parses
                flags.FLAGS.mark_as_parsed()
            workers = grain.MultiprocessingOptions(n_workers, per_worker_buffer_size=prefetch)
            dataset = dataset.mp_prefetch(workers)
        return iter(dataset)

    reader, position = None, -1

    def feed(first: int, n: int, capacity: int) -> PyTree:
        nonlocal reader, position
        if reader is None or first != position:
            if reader is not None:
                reader.close()  # pyright: ignore[reportAttributeAccessIssue]
            reader = read_from(first)
        stacks = []
        for offset, batch in enumerate(itertools.islice(reader, n)):
            if not stacks:
                stacks = [np.zeros((capacity, *part.shape), part.dtype) for part in batch]
            for stack, part in zip(stacks, batch, strict=True):
                stack[offset] = part
        position = first + n
        return jax.tree.unflatten(structure, [jnp.asarray(stack) for stack in stacks])

    def take(data: PyTree, step: Array, offset: Array) -> Batch:
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, offset, keepdims=False), data)

    facts = {"sha256": _sha256(arrays, dtypes), "order": {**plan._asdict(), "key": list(plan.key)}}
    return Batches(feed, take, facts)


class _Extent:
    """A shape without values."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.ndim = shape, len(shape)


class _Steps:
    """Batches by step, as Grain's random access source; it travels to the reading processes."""

    def __init__(
        self, leaves: list[OnDisk], dtypes: list[str], plan: Order, process: int, first: int
    ):
        self.leaves, self.dtypes, self.plan = leaves, dtypes, plan
        self.process, self.first = process, first
        self.maps: list[np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "maps": None}  # a pickled memory map would carry the file

    def __len__(self) -> int:
        return MAX_STEPS - self.first

    def __getitem__(self, index: int) -> list[np.ndarray]:
        if self.maps is None:
            self.maps = [leaf.map() for leaf in self.leaves]
        rows = ids(self.plan, np.int64(self.first + index), process=self.process)
        ascending = np.argsort(rows)  # neighbours on disk are read together
        batch = []
        for leaf, dtype, source in zip(self.leaves, self.dtypes, self.maps, strict=True):
            part = np.empty((len(rows), *source.shape[1:]), source.dtype.newbyteorder("="))
            part[ascending] = source[rows[ascending]]
            _check(leaf, part, rows, np.dtype(dtype))
            batch.append(part.astype(dtype))
        return batch


def _check(leaf: OnDisk, part: np.ndarray, rows: np.ndarray, dtype: np.dtype) -> None:
    """Refuse values that a training step could not use, naming the row in the file."""
    if part.dtype.kind == "f":
        bad = ~np.isfinite(part)
    elif part.dtype.kind in "iu" and part.dtype != dtype:
        limit = np.iinfo(dtype)
        bad = (part < limit.min) | (part > limit.max)
    else:
        return
    where = bad.reshape(len(part), -1)
    if where.any():
        row = int(where.any(axis=1).argmax())
        value = part[row].reshape(-1)[where[row].argmax()]
        raise DataError(leaf.path, f"holds {value} in row {rows[row]}, which is no {dtype}")


def _sha256(arrays: PyTree, dtypes: list[str]) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(arrays)
    named = {
        jax.tree_util.keystr(path, simple=True, separator="/"): (leaf, np.dtype(dtype))
        for (path, leaf), dtype in zip(leaves, dtypes, strict=True)
    }
    found = hashlib.sha256()
    for name, (leaf, dtype) in sorted(named.items()):
        found.update(f"{name}|{dtype}|{leaf.shape}|".encode())
        for block in leaf.blocks():
            found.update(block)
    return found.hexdigest()


__all__ = ["stream"]
