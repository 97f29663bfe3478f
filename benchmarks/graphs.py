# SPDX-License-Identifier: Apache-2.0
"""What does belief propagation on a square of spins cost?

Command: python -m benchmarks --only graphs

Couplings and fields are drawn; all messages go 50 times. The square as a factor graph does the same
by gathers in place of shifts.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.probability import factor_graph, ising
from jaxml.types import Array


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of squares."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Magnetizations after all steps."""
    for side, n_steps in [(3, 30)] if tiny else [(32, 50), (64, 50)]:
        shapes = (side, side - 1), (side - 1, side), (side, side)
        keys = jax.random.split(jax.random.key(side), 3)
        grid = ising.Grid(
            *(0.3 * jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
        )
        graph, tables = ising.as_factors(grid)

        def shifted(grid: ising.Grid, n_steps: int = n_steps) -> Array:
            return ising.sum_product(grid, n_steps).magnetization.ravel()

        def gathered(
            tables: list[Array],
            n_steps: int = n_steps,
            graph: factor_graph.FactorGraph = graph,
        ) -> Array:
            p = jnp.exp(factor_graph.sum_product(graph, tables, n_steps).log_beliefs)
            return p[:, 1] - p[:, 0]

        yield Case(
            f"belief propagation, {side} x {side} spins, {n_steps} steps",
            {"ours": Work(shifted, (grid,)), "as a factor graph": Work(gathered, (tables,))},
            ("belief propagation", {"side": side, "n_steps": n_steps}),
        )
