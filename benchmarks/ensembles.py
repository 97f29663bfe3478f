# SPDX-License-Identifier: Apache-2.0
"""Do several models trained in one vmapped step beat training them one after another?

Command: python -m benchmarks --only ensembles
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import clock, tiny
from benchmarks.case import Effort
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.training import ensemble, fit, member


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Eight members at several widths."""
    del limits, peer
    for width in (4,) if effort.tiny else (64, 128, 256, 512):
        size, steps = (2, 3) if effort.tiny else (8, 100)
        yield measure(width, size, steps, effort.rounds)


def measure(width: int, size: int, steps: int, rounds: int) -> dict[str, Any]:
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
    ratio = times["apart"] / times["ensemble"]
    low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
    return {
        "case": f"{size} MLP-VAEs of width {width}",
        "us": round(clock.quartiles(times["ensemble"])[1] / steps * 1e6, 1),
        "apart us": round(clock.quartiles(times["apart"])[1] / steps * 1e6, 1),
        "apart / together": round(float(middle), 3),
        "spread": round(float(high - low), 3),
        "largest relative difference of a loss": float(difference),
    }
