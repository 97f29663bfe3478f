# SPDX-License-Identifier: Apache-2.0
"""What does an update of many small or few large leaves cost, and what does one vector save?

Command: python -m benchmarks --only optimizers
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml import optimizers
from jaxml.nn import Flat, ResidualMLP, flat
from jaxml.types import Array, Key, Metrics


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all cases."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Adam on 120 leaves of together 1M parameters, on 30 leaves of together 30M, in a deep net."""
    for n_leaves, n_parameters in ((3, 30),) if tiny else ((120, 2**20), (30, 30 * 2**20)):
        size = n_parameters // n_leaves
        params = [jnp.ones(size) * i for i in range(n_leaves)]
        grads = [jnp.ones(size) * (i + 1) for i in range(n_leaves)]
        yield Case(
            f"Adam, {n_leaves} leaves, {n_parameters / 1e6:.3g}M parameters",
            {
                "ours": update(optimizers.adam(1e-3), *map(vectors, (params, grads))),
                "ours, a leaf at a time": update(optimizers.adam(1e-3), params, grads),
                "optax, a leaf at a time": update(optax.adam(1e-3), params, grads),
            },
            ("Adam", {"n_leaves": n_leaves, "n_parameters": n_parameters}),
        )
    n, width, depth = (4, 8, 2) if tiny else (64, 128, 30)
    data = jax.random.normal(jax.random.key(0), (4 * n, width))
    network = ResidualMLP(width, width, depth, width, rngs=nnx.Rngs(0))
    yield Case(
        f"step of a residual net of {depth} blocks, width {width}, batch {n}",
        {
            **steps(flat(reconstruction), Flat(network), data, n, name="ours"),
            **steps(reconstruction, network, data, n, name="a leaf at a time"),
        },
    )


def vectors(leaves: list[Array]) -> list[Array]:
    """The leaves as `Flat` holds them."""
    return [vector[...] for vector in Flat(nnx.List(map(nnx.Param, leaves))).vectors]


def update(rule: Any, params: Any, grads: Any) -> Work:
    """One update of parameters and state in place."""

    def step(carry, grads):
        params, state = carry
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), jnp.zeros(())

    return Work(step, ((params, rule.init(params)), grads), donated=True)


def reconstruction(model: ResidualMLP, x: Array, key: Key) -> tuple[Array, Metrics]:
    """The mean squared difference between x and the network's answer."""
    del key
    return jnp.mean(jnp.square(model(x) - x)), {}
