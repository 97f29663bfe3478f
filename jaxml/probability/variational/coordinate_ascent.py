# SPDX-License-Identifier: Apache-2.0
"""Mean field for factor graphs: the best q(x) = Π_v q_v(x_v), one variable after another, exactly.

Σ_f E_q θ_f + Σ_v H(q_v) ≤ log Z. In each q_v alone the left side is greatest where q_v(x_v) ∝
exp Σ_f E θ_f(x_v, ·) under the others: a sweep of such steps never lowers it.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.factor_graph.graph import FactorGraph, Tables, checked, one_by_one
from jaxml.types import Scalar

Marginals = Sequence[Float[Array, "_"]]
"""log q_v of every variable."""


def uniform(graph: FactorGraph) -> list[Float[Array, "_"]]:
    """log q_v = −log(number of states): a start, but where symmetry is to be broken no good one.

    Args:
      graph: the graph.
    """
    return [jnp.full(size, -math.log(size)) for size in graph.sizes]


def sweep(graph: FactorGraph, tables: Tables, log_q: Marginals) -> list[Float[Array, "_"]]:
    """log q_v ← Σ_f E_{q without v} θ_f + constant, for v = 0, 1, …, each with those before it.

    Args:
      graph: the graph.
      tables: θ; −inf is obeyed, and gives NaN where the other q leave a variable no state.
      log_q: where to begin.

    Raises:
      ValueError: for shapes that do not fit.

    Reference: Bishop 2006, equation 10.9.
    """
    tables, found = _checked(graph, tables, log_q)
    every = one_by_one(graph, tables)
    for v in range(len(graph.sizes)):
        field = jnp.zeros_like(found[v])
        for scope, table in every:
            if v in scope:
                field = field + _mean(table, scope, found, keep=v)
        found[v] = jax.nn.log_softmax(field)
    return found


def bound(graph: FactorGraph, tables: Tables, log_q: Marginals) -> Scalar:
    """Σ_f E_q θ_f + Σ_v H(q_v) = log Z − KL(q‖p), in nats.

    Args:
      graph: the graph.
      tables: θ; −inf where q is not 0 makes it −inf.
      log_q: normalized.

    Raises:
      ValueError: for shapes that do not fit.
    """
    tables, log_q = _checked(graph, tables, log_q)
    energy = [_mean(table, scope, log_q) for scope, table in one_by_one(graph, tables)]
    entropy = [jnp.sum(jax.scipy.special.entr(jnp.exp(v))) for v in log_q]
    return sum(energy, sum(entropy, jnp.zeros((), log_q[0].dtype)))


def _mean(
    table: Float[Array, "..."],
    scope: Sequence[int],
    log_q: Marginals,
    *,
    keep: int | None = None,
) -> Float[Array, "..."]:
    """E θ over all variables of the scope but one; −inf only where its probability is not 0."""
    forbidden = table == -jnp.inf
    finite, lost = jnp.where(forbidden, 0, table), forbidden.astype(table.dtype)
    for axis in reversed(range(len(scope))):
        if scope[axis] != keep:
            q = jnp.exp(log_q[scope[axis]])
            finite, lost = (jnp.tensordot(t, q, axes=(axis, 0)) for t in (finite, lost))
    return jnp.where(lost > 0, -jnp.inf, finite)


def _checked(
    graph: FactorGraph, tables: Tables, log_q: Marginals
) -> tuple[list[Array], list[Array]]:
    tables, zero = checked(graph, tables)
    shapes = [jnp.shape(v) for v in log_q]
    if shapes != [(size,) for size in graph.sizes]:
        raise ValueError(f"log_q: expected lengths {graph.sizes}, one a variable, got {shapes}")
    return tables, [v.astype(zero.dtype) for v in log_q]
