# SPDX-License-Identifier: Apache-2.0
"""What does a training step cost outside its arithmetic?

Command: python -m benchmarks --only dispatch
The loop of `fit` is timed with the same steps cut into chunks of two lengths; a step's arithmetic
is the same in both, so the difference divided by the number of additional chunks is what one chunk
costs in Python, dispatch and transfer of metrics. The difference of two whole trainings would
measure the noise of their arithmetic instead: it is a hundred times what is asked for.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import clock, tiny
from benchmarks.case import Effort
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.training import fit


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """The overhead of a tiny VAE."""
    del limits, peer
    width, steps, chunk = (4, 4, 2) if effort.tiny else (64, 1000, 100)
    yield measure(width, steps, chunk, effort.rounds)


def measure(width: int, steps: int, chunk: int, rounds: int) -> dict[str, Any]:
    """Microseconds a step in chunks of both lengths, and of a chunk beyond its steps."""
    model, batches, key = tiny.make(jax.random.key(2), width), tiny.data(), jax.random.key(3)

    def train(length):
        for _, trained, _, _ in fit(tiny.RULE, model, batches, key, steps=steps, chunk=length):
            last = trained
        return last

    times = clock.interleaved({"chunks": lambda: train(chunk), "single": lambda: train(1)}, rounds)
    per_chunk = (times["single"] - times["chunks"]) / (steps - steps / chunk) * 1e6
    low, middle, high = np.quantile(per_chunk, [0.25, 0.5, 0.75])
    return {
        "case": f"MLP-VAE, width {width}, chunks of {chunk}",
        "us": round(clock.quartiles(times["chunks"])[1] / steps * 1e6, 2),
        "one by one us": round(clock.quartiles(times["single"])[1] / steps * 1e6, 2),
        "a chunk us": round(float(middle), 2),
        "spread of a chunk us": round(float(high - low), 2),
        "overhead us": round(float(middle) / chunk, 3),
    }
