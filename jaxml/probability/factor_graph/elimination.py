# SPDX-License-Identifier: Apache-2.0
"""Variable elimination: sums, maxima and draws over all configurations, exactly.

A variable is taken out by adding the tables that read it and summing (or maximizing) over its
states; the table that is left reads its neighbours. The cost is the largest table on the way, which
an order of little fill keeps small: 2 to the width of the grid for one of spins.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.numerics import logsumexp
from jaxml.probability.factor_graph.graph import (
    FactorGraph,
    Tables,
    aligned,
    checked,
    n_states,
    one_by_one,
)
from jaxml.types import Key, Scalar

TOTAL = partial(logsumexp, axis=-1)
"""Sum-product's way to take out the last axis."""

LARGEST = 2**27
"""Numbers of the largest table that is made: half a gigabyte in single precision."""


class Step(NamedTuple):
    """The elimination of one variable.

    Attributes:
      variable: which.
      scope: its neighbours when it is taken out.
      table: the sum of all tables that read it, the axis of the variable last.
    """

    variable: int
    scope: tuple[int, ...]
    table: Float[Array, "..."]


def min_fill_order(graph: FactorGraph) -> tuple[int, ...]:
    """All variables, each time the one that brings the fewest new neighbours together.

    Of equals the one with the smallest table, then the first.

    Args:
      graph: the graph.

    Reference: Koller and Friedman 2009, Probabilistic Graphical Models, section 9.4.3.2.
    """
    near: dict[int, set[int]] = {v: set() for v in range(len(graph.sizes))}
    for scope in graph.scopes:
        for v in scope:
            near[v] |= set(scope) - {v}

    def cost(v: int) -> tuple[int, int, int]:
        around = sorted(near[v])
        fill = sum(b not in near[a] for i, a in enumerate(around) for b in around[i + 1 :])
        return fill, n_states(graph, around), v

    order = []
    while near:
        v = min(near, key=cost)
        around = near.pop(v)
        for a in around:
            near[a] = (near[a] | around) - {a, v}
        order.append(v)
    return tuple(order)


def log_partition(
    graph: FactorGraph, tables: Tables, *, order: Sequence[int] | None = None
) -> Scalar:
    """log Z = log Σ_x exp Σ_f θ_f(x_f), in nats; −inf if every configuration is forbidden.

    Its slope in θ_f(x_f) is p(x_f), also where an entry is −inf, and 0 there.

    Args:
      graph: the graph.
      tables: θ.
      order: in which variables are taken out; by `min_fill_order` if None.

    Raises:
      ValueError: for shapes that do not fit, an order that is none, and tables too large to make.

    Reference: Koller and Friedman 2009, algorithm 9.1.
    """
    return _eliminated(graph, tables, order, TOTAL)[0]


def marginals(
    graph: FactorGraph, tables: Tables, *, order: Sequence[int] | None = None
) -> list[Float[Array, "_"]]:
    """p(x_v) of every variable, as the slopes of log Z in tables of one variable each.

    Args:
      graph: the graph.
      tables: θ.
      order: see `log_partition`.

    Raises:
      ValueError: see `log_partition`.
    """
    tables, zero = checked(graph, tables)
    single = FactorGraph(graph.sizes, (*graph.scopes, *((v,) for v in range(len(graph.sizes)))))
    zeros = [jnp.broadcast_to(zero, size) for size in graph.sizes]
    return jax.grad(lambda extra: log_partition(single, [*tables, *extra], order=order))(zeros)


def factor_marginals(
    graph: FactorGraph, tables: Tables, *, order: Sequence[int] | None = None
) -> list[Float[Array, "..."]]:
    """p(x_f) of the variables of every factor together, as the slopes of log Z in θ.

    Args:
      graph: the graph.
      tables: θ.
      order: see `log_partition`.

    Raises:
      ValueError: see `log_partition`.
    """
    return jax.grad(lambda tables: log_partition(graph, tables, order=order))(list(tables))


def most_probable(
    graph: FactorGraph, tables: Tables, *, order: Sequence[int] | None = None
) -> tuple[Integer[Array, "_"], Scalar]:
    """The x with the largest Σ_f θ_f(x_f), and that sum; of several one.

    Args:
      graph: the graph.
      tables: θ.
      order: see `log_partition`.

    Raises:
      ValueError: see `log_partition`.

    Reference: Koller and Friedman 2009, algorithm 13.1.
    """
    total, steps = _eliminated(graph, tables, order, lambda table: table.max(axis=-1))
    return _from_the_last(graph, steps, lambda table, _: jnp.argmax(table, axis=-1)), total


def sample(
    graph: FactorGraph, tables: Tables, key: Key, *, order: Sequence[int] | None = None
) -> Integer[Array, "_"]:
    """x ~ p(x), exactly: the last variable first, each given those that are drawn.

    Args:
      graph: the graph.
      tables: θ; some configuration must be allowed.
      key: of the draw; `vmap` over keys for many.
      order: see `log_partition`.

    Raises:
      ValueError: see `log_partition`.
    """
    _, steps = _eliminated(graph, tables, order, TOTAL)

    def drawn(table: Array, v: int) -> Array:
        return jax.random.categorical(jax.random.fold_in(key, v), table)

    return _from_the_last(graph, steps, drawn)


def _eliminated(
    graph: FactorGraph,
    tables: Tables,
    order: Sequence[int] | None,
    reduce: Callable[[Array], Array],
) -> tuple[Scalar, list[Step]]:
    tables, zero = checked(graph, tables)
    order = min_fill_order(graph) if order is None else order
    if sorted(order) != list(range(len(graph.sizes))):
        raise ValueError(f"order: expected every variable once, got {tuple(order)}")
    left: list[tuple[tuple[int, ...], Any]] = [*one_by_one(graph, tables)]
    steps = []
    for v in order:
        near = [item for item in left if v in item[0]]
        left = [item for item in left if v not in item[0]]
        scope = tuple(sorted({u for known, _ in near for u in known} - {v}))
        if n_states(graph, (*scope, v)) > LARGEST:
            raise ValueError(
                f"graph: taking out variable {v} needs a table of {n_states(graph, (*scope, v))}"
                f" numbers, more than {LARGEST}; give another order, or use propagation"
            )
        table = jnp.broadcast_to(zero, graph.shape((*scope, v)))
        for known, part in near:
            table = table + aligned(part, known, (*scope, v))
        left.append((scope, reduce(table)))
        steps.append(Step(v, scope, table))
    return sum((table for _, table in left), zero), steps


def _from_the_last(
    graph: FactorGraph, steps: Sequence[Step], choose: Callable[[Array, int], Array]
) -> Integer[Array, "_"]:
    x: dict[int, Array] = {}
    for v, scope, table in reversed(steps):
        x[v] = choose(table[tuple(x[u] for u in scope)], v)
    return jnp.stack([x[v] for v in range(len(graph.sizes))])
