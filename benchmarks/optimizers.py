# SPDX-License-Identifier: Apache-2.0
"""What does an update of many small or few large leaves cost?

Command: python -m benchmarks --only optimizers
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Adam on 120 leaves of together 1M parameters, and on 30 leaves of together 30M."""
    for n_leaves, n_parameters in ((3, 30),) if tiny else ((120, 2**20), (30, 30 * 2**20)):
        size = n_parameters // n_leaves
        params = [jnp.ones(size) * i for i in range(n_leaves)]
        grads = [jnp.ones(size) * (i + 1) for i in range(n_leaves)]
        forms = {
            "a leaf at a time": optax.adam(1e-3),
            "flattened": optax.flatten(optax.adam(1e-3)),
        }
        yield Case(
            f"Adam, {n_leaves} leaves, {n_parameters / 1e6:.3g}M parameters",
            {name: update(rule, params, grads) for name, rule in forms.items()},
            ("Adam", {"n_leaves": n_leaves, "n_parameters": n_parameters}),
        )


def update(rule: optax.GradientTransformation, params: Any, grads: Any) -> Work:
    """One update of parameters and state in place."""

    def step(carry, grads):
        params, state = carry
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), jnp.zeros(())

    return Work(step, ((params, rule.init(params)), grads), donated=True)
