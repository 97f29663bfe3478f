# SPDX-License-Identifier: Apache-2.0
"""Belief propagation: the marginals of a forest, and a good guess at those of other graphs.

On a forest, beliefs are exact once messages went from end to end. On other graphs they are
stationary points of the Bethe free energy, if they settle; damping helps them to.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxml.probability.factor_graph.elimination import TOTAL
from jaxml.probability.factor_graph.graph import (
    FactorGraph,
    Tables,
    checked,
    log_weight,
    pieces,
)
from jaxml.probability.factor_graph.messages import check_steps, finite_part, normalized, settled
from jaxml.types import Scalar


class Beliefs(NamedTuple):
    """What messages say in the end.

    Attributes:
      log_beliefs: log b(x_v), a row a variable; −inf at states that it does not have.
      factor_log_beliefs: log b(x_f), in the form of the tables.
      log_partition: the Bethe approximation of log Z in nats, exact on a forest.
      change: the largest change of a probability in the last step: 0 once messages have settled.
    """

    log_beliefs: Float[Array, "n k"]
    factor_log_beliefs: list[Float[Array, "..."]]
    log_partition: Scalar
    change: Scalar


class Best(NamedTuple):
    """What max-product says in the end.

    Attributes:
      log_max_marginals: the largest Σ θ with a state of a variable, less the largest of all.
      states: the likeliest of each variable: the most probable configuration of a forest that has
        one alone.
      log_weight: Σ_f θ_f of these states, in nats.
      change: see `Beliefs`.
    """

    log_max_marginals: Float[Array, "n k"]
    states: Integer[Array, "n"]
    log_weight: Scalar
    change: Scalar


def sum_product(
    graph: FactorGraph, tables: Tables, n_steps: int, *, damping: float | Scalar = 0.0
) -> Beliefs:
    """m_{f→v}(x_v) ∝ Σ_{x_f without x_v} exp θ_f(x_f) Π_{u ∈ f, u ≠ v} m_{u→f}(x_u), n times.

    m_{v→f} ∝ Π_{g ∋ v, g ≠ f} m_{g→v}, and log Z ≈ Σ_f (E_b θ_f + H(b_f)) − Σ_v (d_v − 1) H(b_v)
    with d_v the number of factors that read v.

    Args:
      graph: the graph.
      tables: θ; −inf forbids. If all configurations are forbidden, beliefs mean nothing.
      n_steps: steps; on a forest, its diameter in variables makes all exact.
      damping: share of the old logarithm in a message. What is impossible is so at once.

    Raises:
      ValueError: for shapes that do not fit, no step, and a damping outside of [0, 1).

    Reference: Kschischang, Frey and Loeliger 2001, equations 5 and 6, IEEE Transactions on
    Information Theory 47(2); Yedidia, Freeman and Weiss 2005, section III, ibid. 51(7).
    """
    tables, zero = checked(graph, tables)
    check_steps(n_steps, damping)
    found = settled(graph, tables, n_steps, damping, TOTAL)
    log_beliefs = normalized(found.total, TOTAL)
    every = pieces(graph, tables)
    constants = {
        j: jnp.zeros_like(p.table)
        for j, p in enumerate(every)
        if p.table.ndim == 1 or not len(p.table)
    }
    total = sum((every[j].table.sum() for j in constants), zero)
    beliefs = dict(constants)
    degree = np.zeros(len(graph.sizes))
    for group, joint in zip(found.groups, found.joint, strict=True):
        flat = normalized(joint.reshape(len(joint), -1), TOTAL)
        log_b = flat.reshape(joint.shape)
        total = total + _mean(log_b, group.table) - _mean(log_b, log_b)
        np.add.at(degree, group.scopes, 1)
        for j, begin, end in group.parts:
            sizes = every[j].table.shape[1:]
            beliefs[j] = log_b[begin:end][(slice(None), *(slice(size) for size in sizes))]
    weight = jnp.asarray(degree - 1, log_beliefs.dtype)[:, None]
    total = total + _mean(log_beliefs, weight * finite_part(log_beliefs))
    in_order = [beliefs[j][0] if piece.alone else beliefs[j] for j, piece in enumerate(every)]
    return Beliefs(log_beliefs, in_order, total, found.change)


def max_product(
    graph: FactorGraph, tables: Tables, n_steps: int, *, damping: float | Scalar = 0.0
) -> Best:
    """As `sum_product`, with the largest term in place of every sum.

    Args:
      graph: the graph.
      tables: θ; −inf forbids.
      n_steps: see `sum_product`.
      damping: see `sum_product`.

    Raises:
      ValueError: see `sum_product`.

    Reference: Koller and Friedman 2009, section 13.3.
    """
    tables, _ = checked(graph, tables)
    check_steps(n_steps, damping)
    found = settled(graph, tables, n_steps, damping, _largest)
    most = normalized(found.total, _largest)
    states = jnp.argmax(most, axis=-1)
    return Best(most, states, log_weight(graph, tables, states), found.change)


def _largest(table: Float[Array, "*_ k"]) -> Float[Array, "*_"]:
    return table.max(axis=-1)


def _mean(log_b: Array, value: Array) -> Scalar:
    """Σ b · value, where what never happens counts nothing."""
    return jnp.sum(jnp.exp(log_b) * finite_part(value))
