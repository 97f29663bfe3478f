# SPDX-License-Identifier: Apache-2.0
"""Bayesian networks of discrete variables: p(x) = Π_v p(x_v | x_pa(v)), a factor a variable."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxml.probability.factor_graph.graph import FactorGraph
from jaxml.types import Key

Conditionals = Sequence[Float[Array, "..."]]
"""log p(x_v | x_pa(v)) of every variable: axes of the parents in their order, that of v last."""


def network(sizes: Sequence[int], parents: Sequence[Sequence[int]]) -> FactorGraph:
    """The factor graph whose tables are the conditionals: Z = 1, and with evidence Z is its law.

    Args:
      sizes: states of every variable.
      parents: of every variable, those that it depends on, in the order of its table's axes.

    Raises:
      ValueError: if parents are missing for a variable, unknown, or go round in a circle.

    Reference: Koller and Friedman 2009, definition 3.5.
    """
    if len(parents) != len(sizes):
        raise ValueError(f"parents: expected those of {len(sizes)} variables, got {len(parents)}")
    graph = FactorGraph(
        tuple(sizes), tuple((*above, v) for v, above in enumerate(map(tuple, parents)))
    )
    topological(parents)
    return graph


def topological(parents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """All variables, each behind its parents.

    Args:
      parents: of every variable.

    Raises:
      ValueError: if they go round in a circle.
    """
    order: list[int] = []
    left = list(range(len(parents)))
    while left:
        ready = [v for v in left if all(p in order for p in parents[v])]
        if not ready:
            raise ValueError(f"parents: expected no circle, got one among variables {left}")
        order += ready
        left = [v for v in left if v not in ready]
    return tuple(order)


def ancestral_sample(
    parents: Sequence[Sequence[int]], conditionals: Conditionals, key: Key
) -> Integer[Array, "_"]:
    """x ~ p(x), parents first.

    Args:
      parents: of every variable.
      conditionals: log p(x_v | x_pa(v)).
      key: of the draw; `vmap` over keys for many.

    Raises:
      ValueError: if parents go round in a circle, or a table has other axes.
    """
    x: dict[int, Array] = {}
    for v in topological(parents):
        if conditionals[v].ndim != len(parents[v]) + 1:
            raise ValueError(
                f"conditionals[{v}]: expected {len(parents[v]) + 1} axes, "
                f"got {conditionals[v].ndim}"
            )
        row = conditionals[v][tuple(x[p] for p in parents[v])]
        x[v] = jax.random.categorical(jax.random.fold_in(key, v), row)
    return jnp.stack([x[v] for v in range(len(parents))])
