# SPDX-License-Identifier: Apache-2.0
"""Messages between factors and variables, all of them at once in every step.

Factors of as many variables are one group, whose messages are one array `factor place state`;
variables of fewer states than the most are filled up with states that never happen.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.probability.factor_graph.graph import FactorGraph, Tables, pieces
from jaxml.types import Scalar

Messages = list[Float[Array, "_ _ k"]]
"""Of each group, `factor place state`."""
Reduce = Callable[[Array], Array]
"""Of the last axis: the logarithm of a sum of exponentials, or the largest."""


class Group(NamedTuple):
    """Factors of as many variables.

    Attributes:
      parts: of each array of tables that is in it, its number, where it begins and where it ends.
      scopes: their variables, a row a factor.
      table: their θ, filled up with −inf: `factor k k …`.
    """

    parts: list[tuple[int, int, int]]
    scopes: np.ndarray
    table: Float[Array, "..."]


class Settled(NamedTuple):
    """Messages after the last step.

    Attributes:
      groups: the factors, by the number of their variables; constants are in none.
      total: Σ of the messages to a variable, a row a variable.
      joint: of each group, θ_f + Σ of the messages from its variables.
      change: the largest change of a probability in the last step.
    """

    groups: list[Group]
    total: Float[Array, "n k"]
    joint: list[Float[Array, "..."]]
    change: Scalar


def settled(
    graph: FactorGraph, tables: Tables, n_steps: int, damping: float | Scalar, reduce: Reduce
) -> Settled:
    """Messages from factors to variables and back, n times.

    Args:
      graph: the graph.
      tables: θ, in one dtype.
      n_steps: steps.
      damping: share of the old logarithm in a message.
      reduce: of sum-product or of max-product.
    """
    groups = grouped(graph, tables)
    k = max(graph.sizes, default=1)
    has = np.arange(k)[None] < np.array(graph.sizes)[:, None]
    dtype = tables[0].dtype if tables else jnp.float32
    empty = jnp.where(has, 0.0, -jnp.inf).astype(dtype)

    def step(messages: Messages, _: None) -> tuple[Messages, Scalar]:
        heard = _to_factors(groups, messages, empty)[1]
        fresh = [_to_variables(g, h, reduce) for g, h in zip(groups, heard, strict=True)]
        both = list(zip(messages, fresh, strict=True))
        moved = [jnp.max(jnp.abs(jnp.exp(b) - jnp.exp(a)), initial=0.0) for a, b in both]
        mixed = [jnp.where(b == -jnp.inf, b, b + damping * (finite_part(a) - b)) for a, b in both]
        return mixed, jnp.max(jnp.stack([*moved, jnp.zeros((), dtype)]))

    start = [normalized(empty[g.scopes], reduce) for g in groups]
    messages, changes = jax.lax.scan(step, start, length=n_steps)
    total, heard = _to_factors(groups, messages, empty)
    joint = [_joint(g, h) for g, h in zip(groups, heard, strict=True)]
    return Settled(groups, total, joint, changes[-1])


def grouped(graph: FactorGraph, tables: Tables) -> list[Group]:
    """Factors by the number of their variables, constants left out.

    Args:
      graph: the graph.
      tables: θ.
    """
    k, groups, every = max(graph.sizes, default=1), [], list(enumerate(pieces(graph, tables)))
    for arity in sorted({len(scope) for scope in graph.scopes} - {0}):
        parts, scopes, padded = [], [], []
        for j, piece in every:
            if piece.table.ndim == arity + 1 and len(piece.table):
                parts.append((j, len(scopes), len(scopes) + len(piece.table)))
                scopes += [graph.scopes[i] for i in piece.factors]
                widths = [(0, 0), *((0, k - size) for size in piece.table.shape[1:])]
                padded.append(jnp.pad(piece.table, widths, constant_values=-jnp.inf))
        groups.append(Group(parts, np.array(scopes), jnp.concatenate(padded)))
    return groups


def normalized(log_weight: Float[Array, "*_ k"], reduce: Reduce) -> Float[Array, "*_ k"]:
    """Logarithms less their total along the last axis; −inf where all are.

    Args:
      log_weight: logarithms.
      reduce: what a total is.
    """
    total = reduce(log_weight)[..., None]
    return log_weight - jnp.where(jnp.isfinite(total), total, 0)


def check_steps(n_steps: int, damping: float | Scalar) -> None:
    """There are steps, and they move something.

    Args:
      n_steps: steps.
      damping: share of the old message.

    Raises:
      ValueError: for no step, and a damping outside of [0, 1) that is no array.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps: expected at least 1, got {n_steps}")
    if isinstance(damping, (int, float)) and not 0 <= damping < 1:
        raise ValueError(f"damping: expected a number in [0, 1), got {damping}")


def finite_part(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x, and 0 in place of −inf.

    Args:
      x: logarithms.
    """
    return jnp.where(x == -jnp.inf, 0.0, x)


def _to_factors(
    groups: list[Group], messages: Messages, empty: Float[Array, "n k"]
) -> tuple[Float[Array, "n k"], Messages]:
    """What variables say: the sum of all that they hear, and without what the factor itself said.

    Infinities are counted and finite parts added, since −inf − (−inf) would be no number.
    """
    finite, count = jnp.zeros_like(empty), _impossible(empty)
    for g, m in zip(groups, messages, strict=True):
        finite = finite.at[g.scopes].add(finite_part(m))
        count = count.at[g.scopes].add(_impossible(m))
    heard = []
    for g, m in zip(groups, messages, strict=True):
        others = count[g.scopes] - _impossible(m)
        heard.append(jnp.where(others > 0, -jnp.inf, finite[g.scopes] - finite_part(m)))
    return jnp.where(count > 0, -jnp.inf, finite), heard


def _to_variables(group: Group, heard: Float[Array, "f place k"], reduce: Reduce) -> Array:
    arity = heard.shape[1]
    said = []
    for place in range(arity):
        rest = _joint(group, heard, leave_out=place)
        rest = jnp.moveaxis(rest, 1 + place, 1)
        said.append(reduce(rest.reshape(*rest.shape[:2], -1)))
    return normalized(jnp.stack(said, axis=1), reduce)


def _joint(group: Group, heard: Float[Array, "f place k"], leave_out: int = -1) -> Array:
    arity, table = heard.shape[1], group.table
    for place in range(arity):
        if place != leave_out:
            shape = [1] * arity
            shape[place] = heard.shape[2]
            table = table + heard[:, place].reshape(-1, *shape)
    return table


def _impossible(x: Array) -> Array:
    return (x == -jnp.inf).astype(jnp.int32)
