# SPDX-License-Identifier: Apache-2.0
"""Spins on a rectangle as a factor graph."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxml.probability.factor_graph import FactorGraph
from jaxml.probability.ising.grid import Grid, check


def as_factors(grid: Grid) -> tuple[FactorGraph, list[Float[Array, "..."]]]:
    """J s s′ of every pair as a table of two variables, and h s as one of each: states 0, 1 are ∓1.

    Variables go row by row; pairs to the right come first, then those down, in one array of tables,
    then fields in another.

    Args:
      grid: the model.

    Raises:
      ValueError: for couplings that do not fit.
    """
    check(grid)
    spin = jnp.array([-1, 1], grid.field.dtype)
    place = np.arange(grid.field.size).reshape(grid.field.shape)
    pairs = (place[:, :-1], place[:, 1:]), (place[:-1], place[1:])
    scopes: list[tuple[int, ...]] = [
        (int(a), int(b)) for p, q in pairs for a, b in zip(p.flat, q.flat, strict=True)
    ]
    couplings = jnp.concatenate([grid.right.ravel(), grid.down.ravel()])
    scopes += [(v,) for v in range(place.size)]
    tables = [
        couplings[:, None, None] * jnp.outer(spin, spin)[None],
        grid.field.reshape(-1, 1) * spin[None],
    ]
    return FactorGraph((2,) * place.size, tuple(scopes)), tables
