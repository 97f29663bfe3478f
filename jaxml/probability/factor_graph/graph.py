# SPDX-License-Identifier: Apache-2.0
"""Factor graphs of discrete variables: p(x) = (1/Z) Π_f exp θ_f(x_f).

A graph says which variables there are and which of them each factor reads; it is static. The tables
θ_f are arrays, so that everything computed of them can be batched by `vmap` and differentiated. An
entry of −inf forbids a configuration.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxml.numerics import widen_all
from jaxml.types import Scalar

OUTSIDE: dict[str, Any] = {
    "mode": "fill",
    "fill_value": jnp.nan,
    "wrap_negative_indices": False,
}
"""How a table is read where it has no entry: as NaN."""

Tables = Sequence[Float[Array, "..."]]
"""θ_f of every factor, an axis a variable of its scope.

Factors that follow each other and have tables of one shape may share an array with one axis more in
front: a grid with thousands of them then compiles as fast as one with two. What is computed of
every table has the form in which the tables are given.
"""


class Piece(NamedTuple):
    """Factors that follow each other, and their tables.

    Attributes:
      first: the number of the first of them.
      table: θ, an axis of factors in front.
      alone: whether there is one, given without that axis.
    """

    first: int
    table: Float[Array, "..."]
    alone: bool

    @property
    def factors(self) -> range:
        """Which."""
        return range(self.first, self.first + len(self.table))


@dataclasses.dataclass(frozen=True)
class FactorGraph:
    """Variables and the scopes of factors.

    Attributes:
      sizes: how many states each variable has.
      scopes: of each factor, the variables that it reads, each once; one with none is a constant.

    Raises:
      ValueError: for a variable without states, one that is not there, and one that a factor names
        twice.
    """

    sizes: tuple[int, ...]
    scopes: tuple[tuple[int, ...], ...]

    def __post_init__(self):
        if min(self.sizes, default=1) < 1:
            raise ValueError(f"sizes: expected at least one state a variable, got {self.sizes}")
        for scope in self.scopes:
            if len(set(scope)) < len(scope) or not all(0 <= v < len(self.sizes) for v in scope):
                raise ValueError(
                    f"scopes: expected different variables below {len(self.sizes)}, got {scope}"
                )

    def shape(self, scope: Sequence[int]) -> tuple[int, ...]:
        """The states of some variables."""
        return tuple(self.sizes[v] for v in scope)

    @cached_property
    def is_forest(self) -> bool:
        """Whether variables and factors, as nodes of one graph, have no cycle."""
        root = list(range(len(self.sizes)))

        def find(v: int) -> int:
            while root[v] != v:
                v = root[v]
            return v

        for scope in self.scopes:
            roots = {find(v) for v in scope}
            if len(roots) < len(scope):
                return False
            for v in roots:
                root[v] = min(roots)
        return True


def checked(graph: FactorGraph, tables: Tables) -> tuple[list[Float[Array, "..."]], Scalar]:
    """Tables in one dtype, single precision at least, and a zero of it.

    Args:
      graph: the graph.
      tables: one for each of its factors.

    Raises:
      ValueError: for another number of tables, or one of another shape.
    """
    zero, *wide = widen_all(jnp.zeros((), jnp.float32), *map(jnp.asarray, tables))
    pieces(graph, wide)
    return wide, zero


def pieces(graph: FactorGraph, tables: Tables) -> list[Piece]:
    """Which factors each array is of.

    Args:
      graph: the graph.
      tables: for all of its factors.

    Raises:
      ValueError: for another number of tables, or one of another shape.
    """
    found, first, n = [], 0, len(graph.scopes)
    for j, table in enumerate(tables):
        if table.shape[:1] == (0,):  # of no factor at all
            found.append(Piece(first, table, False))
            continue
        shape = graph.shape(graph.scopes[first]) if first < n else ()
        alone = table.ndim == len(shape)
        stack = table[None] if alone else table
        if first < n and stack.shape[1:] != shape:
            raise ValueError(f"tables[{j}]: expected shape {shape}, got {table.shape}")
        piece = Piece(first, stack, alone)
        others = {graph.shape(graph.scopes[i]) for i in piece.factors if i < n} - {shape}
        if others:
            raise ValueError(
                f"tables[{j}]: expected factors of one shape, got {shape} and {others}"
            )
        found.append(piece)
        first += len(stack)
    if first != n:
        raise ValueError(f"tables: expected {n}, one a factor, got {first}")
    return found


def one_by_one(
    graph: FactorGraph, tables: Tables
) -> list[tuple[tuple[int, ...], Float[Array, "..."]]]:
    """Every factor's scope and its table.

    Args:
      graph: the graph.
      tables: θ.

    Raises:
      ValueError: for shapes that do not fit.
    """
    return [
        (graph.scopes[i], table)
        for piece in pieces(graph, tables)
        for i, table in zip(piece.factors, piece.table, strict=True)
    ]


def log_weight(graph: FactorGraph, tables: Tables, x: Integer[Array, "_"]) -> Scalar:
    """Σ_f θ_f(x_f), in nats: log p(x) + log Z.

    Args:
      graph: the graph.
      tables: θ.
      x: a state of every variable; `vmap` for many. One that is not there gives NaN.

    Raises:
      ValueError: for shapes that do not fit.
    """
    tables, zero = checked(graph, tables)
    if x.shape != (len(graph.sizes),):
        raise ValueError(f"x: expected {len(graph.sizes)} states, got shape {x.shape}")
    terms = []
    for piece in pieces(graph, tables):
        shape = len(piece.table), piece.table.ndim - 1
        scopes = np.array([graph.scopes[i] for i in piece.factors], int).reshape(shape)
        place = jnp.arange(len(scopes)), *(x[v] for v in scopes.T)
        terms.append(piece.table.at[place].get(**OUTSIDE).sum())
    return sum(terms, zero)


def with_evidence(
    graph: FactorGraph, tables: Tables, evidence: Mapping[int, int | Integer[Array, ""]]
) -> tuple[FactorGraph, list[Float[Array, "..."]]]:
    """The graph and its tables with observed variables: log Z becomes log Z + log p(evidence).

    Args:
      graph: the graph.
      tables: θ.
      evidence: states by variable, which may be traced; all others of the variable become −inf.

    Raises:
      ValueError: for a variable or a state that is not there.
    """
    tables, zero = checked(graph, tables)
    further, scopes = [], []
    for v, state in evidence.items():
        if not 0 <= v < len(graph.sizes):
            raise ValueError(f"evidence: expected variables below {len(graph.sizes)}, got {v}")
        if isinstance(state, int) and not 0 <= state < graph.sizes[v]:
            raise ValueError(
                f"evidence: expected a state of variable {v} below {graph.sizes[v]}, got {state}"
            )
        seen = jnp.arange(graph.sizes[v], dtype=jnp.int32) == jnp.asarray(state).astype(jnp.int32)
        further.append(jnp.where(seen, zero, -jnp.inf))
        scopes.append((v,))
    return FactorGraph(graph.sizes, (*graph.scopes, *scopes)), [*tables, *further]


def aligned(
    table: Float[Array, "..."], scope: Sequence[int], union: Sequence[int]
) -> Float[Array, "..."]:
    """A table of one scope as an array with an axis for every variable of a larger one.

    Args:
      table: an axis a variable of `scope`.
      scope: its variables.
      union: variables, those of `scope` among them; axes of others have length 1.
    """
    order = [scope.index(v) for v in union if v in scope]
    shape = iter(jnp.transpose(table, order).shape)
    return jnp.transpose(table, order).reshape([next(shape) if v in scope else 1 for v in union])


def n_states(graph: FactorGraph, scope: Sequence[int]) -> int:
    """How many configurations some variables have."""
    return math.prod(graph.shape(scope))
