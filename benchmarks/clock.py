# SPDX-License-Identifier: Apache-2.0
"""Interleaved timing: on a shared machine only ratios within one run can be trusted."""

import itertools
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np


def interleaved(cases: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each case in each round, the order drawn anew every round.

    Each case is called once before the first round, to compile; a case returns what it computed,
    and the clock stops when that is there.
    """
    for case in cases.values():
        jax.block_until_ready(case())
    return in_turn({name: lambda case=case: seconds(case) for name, case in cases.items()}, rounds)


def in_turn(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """The same for cases that hold a clock of their own and return seconds."""
    order, found = random.Random(0), {name: [] for name in cases}  # noqa: S311
    for name in itertools.chain.from_iterable(
        order.sample(list(cases), len(cases)) for _ in range(rounds)
    ):
        found[name].append(cases[name]())
    return {name: np.array(times) for name, times in found.items()}


def seconds(case: Callable[[], Any]) -> float:
    """How long a call takes until its results are there."""
    start = time.perf_counter()
    jax.block_until_ready(case())
    return time.perf_counter() - start


def quartiles(times: np.ndarray) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
