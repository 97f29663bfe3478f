# SPDX-License-Identifier: Apache-2.0
"""What knows about time: rules, the loop, checkpoints, the run directory, reports."""

from jaxml.training.fit import NonFiniteError, fit
from jaxml.training.rule import (
    accumulate,
    average,
    chain,
    descend,
    ensemble,
    every,
    guard,
    keep_best,
    member,
    only,
    repeat,
    scheduled,
    side_by_side,
    skip,
    stop,
    sweep,
    take_turns,
)

__all__ = [
    "NonFiniteError",
    "accumulate",
    "average",
    "chain",
    "descend",
    "ensemble",
    "every",
    "fit",
    "guard",
    "keep_best",
    "member",
    "only",
    "repeat",
    "scheduled",
    "side_by_side",
    "skip",
    "stop",
    "sweep",
    "take_turns",
]
