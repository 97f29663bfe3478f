# SPDX-License-Identifier: Apache-2.0
"""Train, validation and test sets: disjoint by construction, the same on every machine."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from jaxml.data.batches import n_examples
from jaxml.data.permutation import feistel


class Splits(NamedTuple):
    """Three disjoint parts of a data set, each a pytree of arrays on the host.

    A part that the data set does not have holds arrays of no rows.
    """

    train: PyTree
    valid: PyTree
    test: PyTree


def split(arrays: PyTree, n_valid: int, n_test: int, *, seed: int | None = None) -> Splits:
    """Cut the examples into train, valid and test, the last rows being test.

    Args:
      arrays: A pytree of host arrays with equal leading axes.
      n_valid: Examples for validation.
      n_test: Examples for testing.
      seed: Shuffle by the keyed order of this number first; None cuts in the order of the data.

    Raises:
      ValueError: If nothing is left to train on.
    """
    n = n_examples(arrays)
    if min(n_valid, n_test) < 0 or n_valid + n_test >= n:
        raise ValueError(
            f"n_valid, n_test: expected fewer than the {n} examples together, "
            f"got {n_valid} and {n_test}"
        )
    order = np.arange(n)
    if seed is not None:
        # Not jax.random: a split is part of a data set and outlives any generator's version.
        order = feistel(order, n, [np.uint32(seed)])
    n_train = n - n_valid - n_test
    rows = np.split(order, [n_train, n_train + n_valid])
    return Splits(*(jax.tree.map(lambda x, part=part: x[part], arrays) for part in rows))


def concatenate(*parts: PyTree) -> PyTree:
    """The examples of several parts, one after the other."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


__all__ = ["Splits", "concatenate", "split"]
