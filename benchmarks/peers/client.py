# SPDX-License-Identifier: Apache-2.0
"""Our end of the line to the process in which PyTorch runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Peer:
    """A process that times PyTorch on request, and sleeps while we are timed.

    Args:
      python: the interpreter that has torch; this one if empty.
    """

    def __init__(self, python: str = ""):
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(  # noqa: S603
            [python or sys.executable, "-m", "benchmarks.peers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            # Without a pause its threads would go on spinning while ours are timed.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
        self.version = self._ask({})["torch"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def timers(
        self, name: str, sizes: Mapping[str, Any], seconds: float
    ) -> dict[str, Callable[[], float]]:
        """Seconds a unit of work in every variant that the case has, each warmed up."""
        found, work = {}, self._ask({"case": name})
        for variant in work["variants"]:
            question = {"case": name, "variant": variant, "sizes": dict(sizes), "seconds": seconds}
            name_of_form = f"{work['library']} {variant}"
            found[name_of_form] = lambda question=question: self._ask(question)["seconds"]
        for timer in found.values():
            timer()
        return found

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"the peer ended with code {self.process.wait()}; is torch installed for "
                f"{self.process.args[0]!r}?"
            )
        return json.loads(answer)
