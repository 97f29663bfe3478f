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

from benchmarks.peers import family, layer, update

CASES = {**layer.CASES, **family.CASES, **update.CASES}
PAUSE = 0.02  # lets the threads of this process fall asleep before the other's clock runs


@cache
def prepared(case: str, sizes: str, variant: str) -> Callable[[], Any]:
    """The work, built once."""
    return CASES[case](variant=variant, **json.loads(sizes))


REPEATS: dict[Any, int] = {}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Seconds for one unit of the work that is asked for."""
    if not question:
        return {"torch": torch.__version__}
    named = (question["case"], json.dumps(question["sizes"]), question["variant"])
    try:
        work = prepared(*named)
        if question.get("warm"):
            work()
            once, target = seconds(work, 2), question["seconds"]
            REPEATS[named] = max(1, math.ceil(target / once)) if target else 1
            return {}
        return {"seconds": seconds(work, REPEATS[named])}
    except NotImplementedError as reason:
        return {"refused": str(reason)}


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Serve until the other end closes."""
    torch.set_num_threads(torch.get_num_threads())
    for line in sys.stdin:
        found = answer(json.loads(line))
        time.sleep(PAUSE)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
