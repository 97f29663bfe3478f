# SPDX-License-Identifier: Apache-2.0
"""How long do training steps compile, and how does that grow with depth?

Command: python -m benchmarks --only compile_time
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from flax import nnx

from benchmarks import families, tiny
from benchmarks.case import Compiled, Effort
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.losses.likelihood import bernoulli
from jaxml.models import flow, vae


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """A step of each family in the loop, then MLPs and flows of growing depth."""
    del limits, peer
    for case in islice(families.cases(effort.tiny), 1 if effort.tiny else None):
        for name, work in case.forms.items():
            if "ours" in name:
                yield row(f"{case.name}, {name}", work)
    data = tiny.bits()
    for depth in (1,) if effort.tiny else (1, 2, 4, 8, 16):
        model = vae.mlp(784, (64,) * depth, 8, bernoulli(), rngs=nnx.Rngs(0))
        works = families.steps(vae.loss, model, data, 64, name="ours")
        yield row(f"MLP-VAE step, {depth} hidden layers a side", works["ours"])
    points = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    for depth in (1,) if effort.tiny else (4, 32):
        model = flow.neural_spline(2, depth, rngs=nnx.Rngs(0))
        works = families.steps(flow.loss, model, points, 64, name="ours")
        yield row(f"neural spline flow step, {depth} blocks of two couplings", works["ours"])


def row(name: str, work: Any) -> dict[str, Any]:
    """Seconds to trace, lower and compile."""
    return {"case": name, "compile s": round(Compiled(work).compile_seconds, 3)}
