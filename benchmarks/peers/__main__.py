# SPDX-License-Identifier: Apache-2.0
"""The process in which PyTorch runs: a question a line on stdin, an answer a line on stdout."""

import json
import math
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from benchmarks.peers import (
    diffusion,
    energy,
    family,
    flow,
    gan,
    graph,
    language,
    layer,
    pixel,
    probability,
    sequence,
    update,
)

CASES = {
    **layer.CASES,
    **family.CASES,
    **flow.CASES,
    **diffusion.CASES,
    **gan.CASES,
    **graph.CASES,
    **energy.CASES,
    **language.CASES,
    **pixel.CASES,
    **probability.CASES,
    **sequence.CASES,
    **update.CASES,
}
PAUSE = 0.02  # lets the threads of this process fall asleep before the other's clock runs


@cache
def prepared(case: str, sizes: str, variant: str) -> Callable[[], Any]:
    """The work, built once."""
    return CASES[case].build(variant=variant, **json.loads(sizes))


REPEATS: dict[Any, int] = {}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The version; or a case's library and variants; or the seconds one unit of a variant takes."""
    if "case" not in question:
        return {"torch": torch.__version__}
    if "variant" not in question:
        peer = CASES[question["case"]]
        return {"variants": peer.variants, "library": peer.library}
    named = (question["case"], json.dumps(question["sizes"]), question["variant"])
    work = prepared(*named)
    if named not in REPEATS:
        work()
        once, target = seconds(work, 2), question["seconds"]
        REPEATS[named] = max(1, math.ceil(target / once)) if target else 1
    return {"seconds": seconds(work, REPEATS[named])}


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Serve until the other end closes."""
    for line in sys.stdin:
        found = answer(json.loads(line))
        time.sleep(PAUSE)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
