# SPDX-License-Identifier: Apache-2.0
"""Interleaved timing: on a shared machine only ratios within one run can be trusted."""

import itertools
import json
import platform
import random
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax
import jax
import jaxlib
import numpy as np


def interleaved(cases: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each case in each round, the order drawn anew every round.

    Each case is called once before the first round, to compile; a case returns what it computed,
    and the clock stops when that is there.
    """
    for case in cases.values():
        jax.block_until_ready(case())
    order, seconds = random.Random(0), {name: [] for name in cases}  # noqa: S311
    for name in itertools.chain.from_iterable(
        order.sample(list(cases), len(cases)) for _ in range(rounds)
    ):
        start = time.perf_counter()
        jax.block_until_ready(cases[name]())
        seconds[name].append(time.perf_counter() - start)
    return {name: np.array(times) for name, times in seconds.items()}


def quartiles(times: np.ndarray) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def report(question: str, numbers: Mapping[str, Any]) -> None:
    """One JSON line with everything that decides what the numbers mean."""
    line = {"question": question, **numbers, **environment()}
    print(json.dumps(line, sort_keys=True), flush=True)


def environment() -> dict[str, str]:
    """Device, versions and the revision of the code."""
    here = Path(__file__).parent
    found = subprocess.run(  # noqa: S603
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
        "revision": found.stdout.strip() or "unknown",
    }
