# SPDX-License-Identifier: Apache-2.0
"""Spins on a rectangle: exactly, by draws, and by messages."""

from jaxml.probability.ising.exact import log_partition, plane, sample
from jaxml.probability.ising.factors import as_factors
from jaxml.probability.ising.grid import (
    Grid,
    gibbs_sweep,
    local_field,
    log_weight,
    uniform,
)
from jaxml.probability.ising.messages import Beliefs, sum_product

__all__ = [
    "Beliefs",
    "Grid",
    "as_factors",
    "gibbs_sweep",
    "local_field",
    "log_partition",
    "log_weight",
    "plane",
    "sample",
    "sum_product",
    "uniform",
]
