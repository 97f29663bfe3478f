# SPDX-License-Identifier: Apache-2.0
"""Rules of learning and the combinators under which they are closed."""

from jaxml.training.rule.average import average
from jaxml.training.rule.best import keep_best
from jaxml.training.rule.chain import chain, every, repeat
from jaxml.training.rule.descend import accumulate, descend, only
from jaxml.training.rule.ensemble import ensemble, member, sweep
from jaxml.training.rule.guard import guard, skip, stop
from jaxml.training.rule.scheduled import scheduled
from jaxml.training.rule.side_by_side import side_by_side
from jaxml.training.rule.turns import take_turns

__all__ = [
    "accumulate",
    "average",
    "chain",
    "descend",
    "ensemble",
    "every",
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
