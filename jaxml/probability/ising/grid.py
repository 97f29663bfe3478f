# SPDX-License-Identifier: Apache-2.0
"""Spins of ±1 on a rectangle: p(s) ∝ exp(Σ_⟨ij⟩ J_ij s_i s_j + Σ_i h_i s_i), without a torus.

Inverse temperature is part of J and h.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxml.numerics import widen_all
from jaxml.types import Key, Scalar

Field = Float[Array, "rows columns"]
Spins = Float[Array, "rows columns"]


class Grid(NamedTuple):
    """Couplings and fields.

    Attributes:
      right: J between a spin and the one to its right, `rows columns−1`.
      down: J between a spin and the one below it, `rows−1 columns`.
      field: h.
    """

    right: Float[Array, "rows _"]
    down: Float[Array, "_ columns"]
    field: Field


def uniform(
    rows: int, columns: int, coupling: int | float | Scalar, field: int | float | Scalar = 0
) -> Grid:
    """One J for all neighbours and one h for all spins.

    Args:
      rows: of the rectangle.
      columns: of the rectangle.
      coupling: J; above ½ log(1 + √2) = 0.4407 a large rectangle is magnetic.
      field: h.

    Raises:
      ValueError: unless there are spins.
    """
    for name, size in (("rows", rows), ("columns", columns)):
        if size < 1:
            raise ValueError(f"{name}: expected at least 1, got {size}")
    J, h = widen_all(jnp.asarray(coupling), jnp.asarray(field))
    return Grid(
        jnp.broadcast_to(J, (rows, columns - 1)),
        jnp.broadcast_to(J, (rows - 1, columns)),
        jnp.broadcast_to(h, (rows, columns)),
    )


def check(grid: Grid) -> None:
    """Couplings fit to the spins.

    Args:
      grid: the model.

    Raises:
      ValueError: if they do not.
    """
    rows, columns = grid.field.shape
    for name, table, shape in (
        ("right", grid.right, (rows, columns - 1)),
        ("down", grid.down, (rows - 1, columns)),
    ):
        if table.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {table.shape}")


def log_weight(grid: Grid, spins: Spins) -> Scalar:
    """Σ_⟨ij⟩ J_ij s_i s_j + Σ_i h_i s_i: minus the energy, over the temperature.

    Args:
      grid: the model.
      spins: s, of ±1.

    Raises:
      ValueError: for couplings that do not fit.
    """
    check(grid)
    right = jnp.sum(grid.right * spins[:, :-1] * spins[:, 1:])
    down = jnp.sum(grid.down * spins[:-1] * spins[1:])
    return right + down + jnp.sum(grid.field * spins)


def local_field(grid: Grid, spins: Spins) -> Field:
    """h_i + Σ_j J_ij s_j: half the logarithm of the odds of s_i = 1 given all others.

    Args:
      grid: the model.
      spins: s.

    Raises:
      ValueError: for couplings that do not fit.
    """
    check(grid)
    total = grid.field.at[:, :-1].add(grid.right * spins[:, 1:])
    total = total.at[:, 1:].add(grid.right * spins[:, :-1])
    total = total.at[:-1].add(grid.down * spins[1:])
    return total.at[1:].add(grid.down * spins[:-1])


def gibbs_sweep(grid: Grid, spins: Spins, key: Key) -> Spins:
    """Every spin drawn anew given its neighbours: those of one colour of a chessboard, then others.

    Args:
      grid: the model.
      spins: s; `vmap` for many chains.
      key: of the draws.

    Raises:
      ValueError: for couplings that do not fit.

    Reference: Geman and Geman 1984, section XI, IEEE Transactions on Pattern Analysis and Machine
    Intelligence 6(6).
    """
    for colour, part in enumerate(jax.random.split(key)):
        up = jax.random.bernoulli(part, jax.nn.sigmoid(2 * local_field(grid, spins)))
        fresh = jnp.where(up, 1, -1).astype(spins.dtype)
        spins = jnp.where(chessboard(spins.shape) == bool(colour), fresh, spins)
    return spins


def chessboard(shape: tuple[int, ...]) -> Bool[Array, "rows columns"]:
    """True where row and column add up to an odd number.

    Args:
      shape: rows and columns.
    """
    row, column = (jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    return (row + column) % 2 == 1
