# SPDX-License-Identifier: Apache-2.0
"""Is any update rule slower than Optax's?

Command: python -m benchmarks --only update_rules
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
import optax
import optax.contrib

from benchmarks.case import Case, Effort, rows
from benchmarks.limits import Limits
from benchmarks.optimizers import update
from benchmarks.peers.client import Peer
from jaxml import optimizers

RATE = 1e-3
PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "SGD": (optimizers.sgd, optax.sgd),
    "momentum": (optimizers.momentum, partial(optax.sgd, momentum=0.9)),
    "Nesterov": (optimizers.nesterov, partial(optax.sgd, momentum=0.9, nesterov=True)),
    "AdaGrad": (optimizers.adagrad, optax.adagrad),
    "RMSProp": (optimizers.rmsprop, optax.rmsprop),
    "Adam": (optimizers.adam, optax.adam),
    "AdamW": (optimizers.adamw, optax.adamw),
    "AMSGrad": (optimizers.amsgrad, optax.amsgrad),
    "NAdam": (optimizers.nadam, optax.nadam),
    "RAdam": (optimizers.radam, optax.radam),
    "Lion": (optimizers.lion, optax.lion),
    "LAMB": (optimizers.lamb, optax.lamb),
    "Adafactor": (optimizers.adafactor, optax.adafactor),
    "Muon": (optimizers.muon, optax.contrib.muon),
    "schedule-free SGD": (
        lambda rate: optimizers.schedule_free(optimizers.sgd(rate), rate),
        lambda rate: optax.contrib.schedule_free(optax.sgd(rate), rate),
    ),
}
"""Ours and Optax's of the same name."""
MANY_SMALL, FEW_LARGE = (120, 64, 136), (30, 1024, 1024)
"""Number of leaves, and their rows and columns: 1M and 31M parameters."""


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Each rule, leaf by leaf. Muon's matrix products would take minutes on the large leaves."""
    for n, height, width in ((2, 3, 4),) if tiny else (MANY_SMALL, FEW_LARGE):
        params = [jnp.ones((height, width)) * (i + 1) for i in range(n)]
        wave = jnp.cos(jnp.arange(height * width, dtype=jnp.float32)).reshape(height, width)
        grads = [wave * (i + 1) for i in range(n)]
        for name, (ours, theirs) in PAIRS.items():
            if name != "Muon" or (n, height, width) != FEW_LARGE:
                yield Case(
                    f"{name}, {n} leaves of {height}x{width}",
                    {
                        "ours": update(ours(RATE), params, grads),
                        "optax": update(theirs(RATE), params, grads),
                    },
                )
