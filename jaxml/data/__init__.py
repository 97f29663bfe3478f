# SPDX-License-Identifier: Apache-2.0
"""Data: batches as a pure function of the step, sources and 2-D toys of known density."""

from jaxml.data.batches import in_memory, in_order, mapped, n_examples, sha256
from jaxml.data.digits import digits
from jaxml.data.error import DataError
from jaxml.data.idx import read_idx
from jaxml.data.npy import read_npy
from jaxml.data.npz import read_npz
from jaxml.data.order import Order, example_ids, ids, order
from jaxml.data.permutation import permute, permute_inverse
from jaxml.data.source import SOURCES, directory, load
from jaxml.data.split import Splits, concatenate, split

__all__ = [
    "SOURCES",
    "DataError",
    "Order",
    "Splits",
    "concatenate",
    "digits",
    "directory",
    "example_ids",
    "ids",
    "in_memory",
    "in_order",
    "load",
    "mapped",
    "n_examples",
    "order",
    "permute",
    "permute_inverse",
    "read_idx",
    "read_npy",
    "read_npz",
    "sha256",
    "split",
]
