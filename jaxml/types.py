# SPDX-License-Identifier: Apache-2.0
"""The contract: losses say what is learned, rules say how, and everything else composes them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PyTree
from jaxtyping import Key as _TypedKey

Key = _TypedKey[Array, ""]
"""One typed random key (`jax.random.key`); derived by `fold_in(key, step)`, never reused."""

Scalar = Float[Array, ""]
"""A real number in an array of rank 0."""

Metrics = dict[str, Array]
"""A flat mapping of names to scalars; a composed rule files them as `part/name`."""

Model = Any
"""A pytree that holds parameters: in this library a Flax NNX module."""

Batch = PyTree
"""Arrays whose leading axis counts the examples."""

State = PyTree
"""What a rule remembers between steps: optimizer moments, averages, replay chains, counters."""

Loss = Callable[[Model, Batch, Key], tuple[Scalar, Metrics]]
"""`loss(model, batch, key) -> (value, metrics)`: the mean over the batch, in the family's unit."""

Sampler = Callable[..., Array]
"""`sample(model, key, n, *, options) -> n draws`."""


class Rule(NamedTuple):
    """One step of learning; closed under composition (see `jaxml.training.rule`).

    Attributes:
      init: `(model, key) -> state`.
      update: `(model, state, batch, key) -> (model, state, metrics)`.
    """

    init: Callable[[Model, Key], State]
    update: Callable[[Model, State, Batch, Key], tuple[Model, State, Metrics]]


class Batches(NamedTuple):
    """Minibatches as a pure function of the step, read from inside a compiled loop.

    The batch of a step depends on nothing but the step, so a resumed run sees the same data as an
    uninterrupted one whatever came before.

    Attributes:
      feed: `(first, n, capacity) -> data`, called on the host: the arrays from which steps
        `first, ..., first + n - 1` can be taken. Their shapes depend on `capacity >= n` alone.
        In-memory data returns the same device arrays each time; a stream stacks `capacity`
        batches, of which only the first `n` are meaningful.
      take: `(data, step, offset) -> batch`, traced: the batch of the absolute `step` (int32),
        which is number `offset = step - first` of this feed.
      fingerprint: JSON-serializable facts that a resume must find unchanged: the data's sha256,
        length, batch size, seed, remainder policy.
    """

    feed: Callable[[int, int, int], PyTree]
    take: Callable[[PyTree, jax.Array, jax.Array], Batch]
    fingerprint: Mapping[str, Any]


__all__ = [
    "Array",
    "Batch",
    "Batches",
    "Key",
    "Loss",
    "Metrics",
    "Model",
    "Rule",
    "Sampler",
    "Scalar",
    "State",
]
