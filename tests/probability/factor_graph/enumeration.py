# SPDX-License-Identifier: Apache-2.0
"""All configurations of a small graph, and random tables for it."""

import jax.numpy as jnp
import numpy as np


def draw(graph, n, forbidden=0.2):
    """n sets of tables with forbidden entries, under which something stays allowed."""
    rng, made = np.random.default_rng(0), []
    while len(made) < n:
        tables = []
        for scope in graph.scopes:
            table = 2 * rng.normal(size=graph.shape(scope))
            tables.append(
                np.where(rng.random(table.shape) < forbidden * bool(scope), -np.inf, table)
            )
        if np.isfinite(weights(graph, tables)).any():
            made.append(tables)
    return [np.stack(parts) for parts in zip(*made, strict=True)]


def weights(graph, tables):
    """Σ_f θ_f of every configuration, an axis a variable."""
    index = np.indices(graph.sizes)
    parts = zip(tables, graph.scopes, strict=True)
    return sum(np.asarray(table)[tuple(index[v] for v in scope)] for table, scope in parts)


def each(tables, i):
    return [jnp.asarray(np.asarray(part)[i]) for part in tables]


def onto(p, scope):
    """The marginal of some variables, in the order of the scope."""
    kept = sorted(scope)
    marginal = p.sum(axis=tuple(v for v in range(p.ndim) if v not in scope))
    return np.transpose(marginal, [kept.index(v) for v in scope])
