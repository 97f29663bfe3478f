# SPDX-License-Identifier: Apache-2.0
"""Do several models trained in one vmapped step beat training them one after another?

Command: python -m benchmarks.ensembles
"""

import argparse

import jax
import numpy as np

from benchmarks import clock, tiny
from jaxml.training import ensemble, fit, member


def measure(width: int, size: int, steps: int, rounds: int) -> dict[str, float]:
    """Seconds together and apart, their ratio, and how far the members' losses are apart."""
    batches, key = tiny.data(), jax.random.key(3)
    models = tiny.stack(jax.random.key(2), width, size)
    together, alone = ensemble(tiny.RULE, size), [member(tiny.RULE, i) for i in range(size)]

    def losses(rule, model):
        rows = [m["loss"] for *_, m in fit(rule, model, batches, key, steps=steps, chunk=steps)]
        return np.concatenate(rows)

    def apart():
        members = [jax.tree.map(lambda leaf, i=i: leaf[i], models) for i in range(size)]
        return np.stack([losses(alone[i], members[i]) for i in range(size)], axis=1)

    difference = np.abs(losses(together, models) / apart() - 1).max()
    times = clock.interleaved(
        {"ensemble": lambda: losses(together, models), "apart": apart}, rounds
    )
    return {
        "ensemble s": round(clock.quartiles(times["ensemble"])[0], 4),
        "apart s": round(clock.quartiles(times["apart"])[0], 4),
        "speed-up": round(float(np.median(times["apart"] / times["ensemble"])), 3),
        "largest relative difference of a loss": float(difference),
    }


def main() -> None:
    """Print one JSON line a width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for width in options.widths:
        numbers = measure(width, options.size, options.steps, options.rounds)
        case = {"width": width, "size": options.size, "steps": options.steps}
        clock.report("ensembles", {**case, **numbers})


if __name__ == "__main__":
    main()
