# SPDX-License-Identifier: Apache-2.0
"""Rows of columns: `rows.loss(model, batch, key)`, `rows.log_prob`, `rows.sample`."""

from jaxml.models.autoregressive.rows.conditional import (
    Conditional,
    bernoulli,
    categorical,
    normal_mixture,
)
from jaxml.models.autoregressive.rows.model import RowModel, log_prob, loss, sample

__all__ = [
    "Conditional",
    "RowModel",
    "bernoulli",
    "categorical",
    "log_prob",
    "loss",
    "normal_mixture",
    "sample",
]
