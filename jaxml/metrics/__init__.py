# SPDX-License-Identifier: Apache-2.0
"""What is measured of a model, and what a measured number is worth."""

from jaxml.metrics import classification, instability, pathology
from jaxml.metrics.checkerboard import checkerboard
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
from jaxml.metrics.frechet import Moments, frechet_distance, frechet_error, moments
from jaxml.metrics.game import game_spectrum
from jaxml.metrics.modes import Coverage, mode_coverage
from jaxml.metrics.nearest import Nearest, memorized, nearest
from jaxml.metrics.record import from_json, to_json

__all__ = [
    "LOG_LIKELIHOOD",
    "Comparison",
    "Coverage",
    "Evidence",
    "Incomparable",
    "Kind",
    "Moments",
    "Nearest",
    "Unit",
    "certainly_better",
    "checkerboard",
    "classification",
    "compare",
    "convert",
    "frechet_distance",
    "frechet_error",
    "from_json",
    "from_values",
    "game_spectrum",
    "instability",
    "memorized",
    "mode_coverage",
    "moments",
    "nearest",
    "pathology",
    "rounded",
    "to_json",
    "unlike",
]
