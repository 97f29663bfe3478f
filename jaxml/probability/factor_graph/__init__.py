# SPDX-License-Identifier: Apache-2.0
"""Graphical models of discrete variables: exact by elimination, or by messages."""

from jaxml.probability.factor_graph.bayesian_network import ancestral_sample, network
from jaxml.probability.factor_graph.elimination import (
    factor_marginals,
    log_partition,
    marginals,
    min_fill_order,
    most_probable,
    sample,
)
from jaxml.probability.factor_graph.graph import FactorGraph, log_weight, with_evidence
from jaxml.probability.factor_graph.propagation import Beliefs, Best, max_product, sum_product

__all__ = [
    "Beliefs",
    "Best",
    "FactorGraph",
    "ancestral_sample",
    "factor_marginals",
    "log_partition",
    "log_weight",
    "marginals",
    "max_product",
    "min_fill_order",
    "most_probable",
    "network",
    "sample",
    "sum_product",
    "with_evidence",
]
