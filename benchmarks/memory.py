# SPDX-License-Identifier: Apache-2.0
"""How much memory does a training step take beyond its parameters?

Command: python -m benchmarks --only memory
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks import families
from benchmarks.case import Compiled, Effort
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """The compiler's account: arguments, results that are not donated arguments, temporaries."""
    del limits, peer
    for case in islice(families.cases(effort.tiny), 1 if effort.tiny else None):
        for name, work in case.forms.items():
            stats = Compiled(work).executable.memory_analysis()
            fresh = stats.output_size_in_bytes - stats.alias_size_in_bytes
            yield {
                "case": case.name,
                "form": name,
                "arguments MB": round(stats.argument_size_in_bytes / 1e6, 3),
                "new results MB": round(fresh / 1e6, 3),
                "temporaries MB": round(stats.temp_size_in_bytes / 1e6, 3),
            }
