# SPDX-License-Identifier: Apache-2.0
"""Data: batches as a pure function of the step, sources, and toys of known density.

Modules to import by name, since their functions are words of their own: `augment` (changes of
images), `encode` (one-hot, missing values, standardization), `pattern` (binary patterns), `text`
(vocabularies), `byte_pair` (vocabularies of byte pairs) and `toy` (densities on the plane).
"""

from jaxml.data import augment, byte_pair, encode, pattern, text, toy
from jaxml.data.batches import drawn, in_memory, in_order, mapped, n_examples, sha256
from jaxml.data.digits import digits
from jaxml.data.disk import OnDisk, extract, on_disk
from jaxml.data.error import DataError
from jaxml.data.idx import read_idx
from jaxml.data.npy import read_npy
from jaxml.data.npz import read_npz
from jaxml.data.order import Order, example_ids, ids, order
from jaxml.data.permutation import permute, permute_inverse
from jaxml.data.source import SOURCES, Source, directory, load
from jaxml.data.split import Splits, concatenate, split
from jaxml.data.stem import stem
from jaxml.data.stream import stream
from jaxml.data.table import Table, read_table
from jaxml.data.text import read_bytes, read_text

__all__ = [
    "SOURCES",
    "DataError",
    "OnDisk",
    "Order",
    "Source",
    "Splits",
    "Table",
    "augment",
    "byte_pair",
    "concatenate",
    "digits",
    "directory",
    "drawn",
    "encode",
    "example_ids",
    "extract",
    "ids",
    "in_memory",
    "in_order",
    "load",
    "mapped",
    "n_examples",
    "on_disk",
    "order",
    "pattern",
    "permute",
    "permute_inverse",
    "read_bytes",
    "read_idx",
    "read_npy",
    "read_npz",
    "read_table",
    "read_text",
    "sha256",
    "split",
    "stem",
    "stream",
    "text",
    "toy",
]
