# SPDX-License-Identifier: Apache-2.0
"""Which examples make up the batch of a step: a pure function of key, epoch and position."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml.data.permutation import MAX_SIZE, feistel
from jaxml.types import Key


class Order(NamedTuple):
    """The order of the examples over all epochs, in plain numbers that fit in a JSON file.

    Attributes:
      length: The number of examples.
      batch_size: Examples in a step, over all processes together.
      key: The words of a typed key; together with the epoch they name the epoch's permutation.
      keep_remainder: False leaves the last `length % batch_size` examples of every epoch out, other
        ones each time. True cuts the endless stream of epochs into batches: a batch may straddle
        two epochs, and every example is seen exactly once in each.
      shuffle: False keeps the examples in the order of the data.
      n_processes: Each process takes one of this many equal parts of every batch.
    """

    length: int
    batch_size: int
    key: tuple[int, ...]
    keep_remainder: bool = False
    shuffle: bool = True
    n_processes: int = 1


def order(
    length: int,
    batch_size: int,
    key: Key,
    *,
    keep_remainder: bool = False,
    shuffle: bool = True,
    n_processes: int = 1,
) -> Order:
    """The `Order` that these arguments name.

    Raises:
      ValueError: If a batch does not fit into an epoch or does not divide among the processes.
    """
    if not 1 <= length <= MAX_SIZE:
        raise ValueError(f"length: expected 1 to 2^31 - 1 examples, got {length}")
    if not 1 <= batch_size <= MAX_SIZE:
        raise ValueError(f"batch_size: expected 1 to 2^31 - 1, got {batch_size}")
    if batch_size > length and not keep_remainder:
        raise ValueError(
            f"batch_size: {batch_size} exceeds the {length} examples, so that every epoch would be "
            "remainder; shrink it or set keep_remainder"
        )
    if n_processes < 1 or batch_size % n_processes:
        raise ValueError(
            f"n_processes: expected a divisor of the batch size {batch_size}, got {n_processes}"
        )
    words = tuple(int(word) for word in np.asarray(jax.random.key_data(key)).ravel())
    return Order(length, batch_size, words, keep_remainder, shuffle, n_processes)


def ids(order: Order, step: Any, *, process: int | None = None) -> Any:
    """The example numbers of the batch of `step`: int32 `(batch_size,)`.

    A JAX step, traced or not, gives a JAX answer; a Python or NumPy integer stays on the host and
    gives the same numbers in microseconds.

    Args:
      order: The order of the examples.
      step: The absolute number of the step, counted from 0, below 2³¹.
      process: The part of this process alone, or all parts in order.

    Raises:
      ValueError: If there is no such process.
    """
    n, batch = order.length, order.batch_size
    part = batch // order.n_processes
    if process is not None and not 0 <= process < order.n_processes:
        raise ValueError(f"process: expected 0 to {order.n_processes - 1}, got {process}")
    start, stop = (0, batch) if process is None else (process * part, (process + 1) * part)

    step = step.astype(jnp.uint32) if isinstance(step, jax.Array) else np.asarray(step, np.uint32)
    within = np.arange(start, stop, dtype=np.uint32)
    if order.keep_remainder:
        epoch, position = _divmod_product(step, batch, n)
        position = position + within  # below 2^32: both are below 2^31
        epoch, position = epoch + position // np.uint32(n), position % np.uint32(n)
    else:
        per_epoch = np.uint32(n // batch)
        epoch, position = step // per_epoch, step % per_epoch * np.uint32(batch) + within
    if not order.shuffle:
        return position.astype(np.int32)
    return feistel(position, n, [*(np.uint32(word) for word in order.key), epoch])


def example_ids(fingerprint: Mapping[str, Any], step: Any, *, process: int | None = None) -> Any:
    """The example numbers of a step, from the fingerprint of `Batches` alone.

    Args:
      fingerprint: `batches.fingerprint`, as it is or read back from JSON.
      step: The absolute number of the step, as in `ids`.
      process: The part of this process alone, or all parts in order.

    Raises:
      ValueError: If the fingerprint names no order.
    """
    try:
        facts = {**fingerprint["order"]}
        found = Order(**{**facts, "key": tuple(facts["key"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"fingerprint: expected the facts of an order, got {error!r}") from None
    return ids(found, step, process=process)


def _divmod_product(step: Any, size: int, n: int) -> tuple[Any, Any]:
    """divmod(step · size, n) in 32 bits: long multiplication that carries n at every binary digit.

    step · size passes 2^31 after 2^24 steps of 128 examples. The number of epochs wraps at 2^32.
    """
    quotient, remainder = step // np.uint32(n), step % np.uint32(n)
    q, r = quotient, remainder
    for digit in bin(size)[3:]:
        q, r = _carry(q + q, r + r, n)
        if digit == "1":
            q, r = _carry(q + quotient, r + remainder, n)
    return q, r


def _carry(q: Any, r: Any, n: int) -> tuple[Any, Any]:
    over = (r >= np.uint32(n)).astype(np.uint32)
    return q + over, r - over * np.uint32(n)


__all__ = ["Order", "example_ids", "ids", "order"]
