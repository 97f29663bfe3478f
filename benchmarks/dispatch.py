# SPDX-License-Identifier: Apache-2.0
"""What does a training step cost outside its arithmetic?

Command: python -m benchmarks.dispatch
The loop of `fit` is timed with the same steps cut into chunks of two lengths; a step's arithmetic
is the same in both, so the difference divided by the number of additional chunks is what one chunk
costs in Python, dispatch and transfer of metrics. The difference of two whole trainings would
measure the noise of their arithmetic instead: it is a hundred times what is asked for.
"""

import argparse

import jax
import numpy as np

from benchmarks import clock, tiny
from jaxml.training import fit


def measure(width: int, steps: int, chunk: int, rounds: int) -> dict[str, float]:
    """Microseconds a step in chunks of `chunk` and of 1, and what a chunk costs beyond its steps."""
    model, batches, key = tiny.make(jax.random.key(2), width), tiny.data(), jax.random.key(3)

    def train(length):
        for _, trained, _, _ in fit(tiny.RULE, model, batches, key, steps=steps, chunk=length):
            last = trained
        return last

    times = clock.interleaved({"chunks": lambda: train(chunk), "single": lambda: train(1)}, rounds)
    per_chunk = (times["single"] - times["chunks"]) / (steps - steps / chunk) * 1e6
    low, middle, high = np.quantile(per_chunk, [0.25, 0.5, 0.75])
    return {
        "in chunks us/step": round(clock.quartiles(times["chunks"])[0] / steps * 1e6, 2),
        "one by one us/step": round(clock.quartiles(times["single"])[0] / steps * 1e6, 2),
        "a chunk us": round(float(middle), 2),
        "spread of a chunk us": round(float(high - low), 2),
        "overhead us/step": round(float(middle) / chunk, 3),
    }


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--chunk", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    options = vars(parser.parse_args())
    clock.report("dispatch", {**options, **measure(**options)})


if __name__ == "__main__":
    main()
