# SPDX-License-Identifier: Apache-2.0
"""What is measured of a model, and what a measured number is worth."""

from jaxml.metrics import classification
from jaxml.metrics.comparison import Comparison, Incomparable, certainly_better, compare, unlike
from jaxml.metrics.evidence import (
    LOG_LIKELIHOOD,
    Evidence,
    Kind,
    Unit,
    convert,
    from_values,
    rounded,
)
from jaxml.metrics.frechet import Moments, frechet_distance, moments
from jaxml.metrics.record import from_json, to_json

__all__ = [
    "LOG_LIKELIHOOD",
    "Comparison",
    "Evidence",
    "Incomparable",
    "Kind",
    "Moments",
    "Unit",
    "certainly_better",
    "classification",
    "compare",
    "convert",
    "frechet_distance",
    "from_json",
    "from_values",
    "moments",
    "rounded",
    "to_json",
    "unlike",
]
