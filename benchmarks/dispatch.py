# SPDX-License-Identifier: Apache-2.0
"""What does a training step cost outside its arithmetic?

Command: python -m benchmarks.dispatch
The loop of `fit` in chunks is timed against one call of the same executable that does all the
steps; the difference, a step, is everything Python, dispatch and the transfer of metrics cost.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import clock, tiny
from jaxml.training import fit, loop


def measure(width: int, steps: int, chunk: int, rounds: int) -> dict[str, float]:
    """Microseconds a step: in one call, in chunks, one by one; and the overhead of the chunks."""
    model, batches, key = tiny.make(jax.random.key(2), width), tiny.data(), jax.random.key(3)
    state = tiny.RULE.init(model, key)
    leaves, structure = jax.tree.flatten((model, state))
    compiled = loop.build(tiny.RULE.update, batches.take, structure, chunk)
    whole = loop.build(tiny.RULE.update, batches.take, structure, steps)

    def one_call():
        copied = [jnp.array(leaf, copy=True) for leaf in leaves]
        feed = batches.feed(0, steps, steps)
        return whole.run(copied, key, feed, np.int32(0), np.int32(steps))

    def chunked():
        for _, trained, _, _ in fit(tiny.RULE, model, batches, key, steps=steps, chunk=chunk):
            last = trained
        return last

    def one_by_one():
        now = [jnp.array(leaf, copy=True) for leaf in leaves]
        feed = batches.feed(0, 1, chunk)
        for i in range(steps):
            now, _, _ = compiled.run(now, key, feed, np.int32(i), np.int32(1))
        return now

    times = clock.interleaved(
        {"one call": one_call, "chunked": chunked, "one by one": one_by_one}, rounds
    )
    micro = {name: clock.quartiles(t)[0] / steps * 1e6 for name, t in times.items()}
    difference = (times["chunked"] - times["one call"]) / steps * 1e6
    return {
        **{f"{name} us/step": round(value, 2) for name, value in micro.items()},
        "overhead of chunks us/step": round(float(np.median(difference)), 2),
        "spread us/step": round(float(np.subtract(*np.quantile(difference, [0.75, 0.25]))), 2),
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
