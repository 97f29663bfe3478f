# SPDX-License-Identifier: Apache-2.0
"""Data: batches as a pure function of the step."""

from jaxml.data.batches import in_memory, in_order, mapped, n_examples, sha256
from jaxml.data.error import DataError
from jaxml.data.order import Order, example_ids, ids, order
from jaxml.data.permutation import permute, permute_inverse

__all__ = [
    "DataError",
    "Order",
    "example_ids",
    "ids",
    "in_memory",
    "in_order",
    "mapped",
    "n_examples",
    "order",
    "permute",
    "permute_inverse",
    "sha256",
]
