# SPDX-License-Identifier: Apache-2.0
"""log Z and draws of spins on a rectangle, row after row, and log Z of the infinite plane."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.ising.grid import Grid, check
from jaxml.types import Key, Scalar

WIDEST = 20
"""Columns of the widest rectangle that is summed: vectors of a million numbers."""


def log_partition(grid: Grid) -> Scalar:
    """log Z in nats, exactly, by the sum over a row given the next, spin by spin.

    Its slopes are expectations: in h_i the magnetization E s_i, in J_ij the correlation E s_i s_j.
    Time rows · columns · 2^columns: turn the rectangle so that it is high.

    Args:
      grid: the model.

    Raises:
      ValueError: for couplings that do not fit, and for more than 20 columns.

    Reference: Kramers and Wannier 1941, part II, Physical Review 60, with open ends.
    """
    _check_width(grid)

    def step(table: Array, place: _Row) -> tuple[Array, None]:
        return _sums(_entered(table, place), place.down)[-1], None

    table, _ = jax.lax.scan(step, _empty(grid), _rows(grid))
    return table.ravel()[0]  # nothing lies below the last row: all entries are log Z


def sample(grid: Grid, key: Key, n: int) -> Float[Array, "{n} rows columns"]:
    """n independent draws, exactly: the last row first, every spin given those drawn before.

    The tables of `log_partition` are kept, rows · columns · 2^columns numbers; a draw then looks at
    two of them for each spin.

    Args:
      grid: the model.
      key: of the draws.
      n: how many.

    Raises:
      ValueError: for couplings that do not fit, and for more than 20 columns.
    """
    _check_width(grid)
    columns = grid.field.shape[1]

    def step(table: Array, place: _Row) -> tuple[Array, Array]:
        *before, table = _sums(_entered(table, place), place.down)
        return table, jnp.stack(before).reshape(columns, -1)

    _, tables = jax.lax.scan(step, _empty(grid), _rows(grid))
    bit = 2 ** jnp.arange(columns)[::-1]

    def row(below: Array, place: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        tables, down, u = place
        state = below  # spins of this row replace those of the one below, from the right
        for j in range(columns - 1, -1, -1):
            low = state.at[j].set(0) @ bit
            odds = tables[j, low + bit[j]] - tables[j, low]
            odds = odds + 2 * down[j] * jnp.where(below[j] == 1, 1, -1).astype(odds.dtype)
            state = state.at[j].set((u[j] < jax.nn.sigmoid(odds)).astype(state.dtype))
        return state, state

    def one(key: Key) -> Array:
        u = jax.random.uniform(key, grid.field.shape, grid.field.dtype)
        nothing = jnp.zeros(columns, bit.dtype)
        places = (tables, _rows(grid).down, u)
        return jax.lax.scan(row, nothing, places, reverse=True)[1]

    states = jax.vmap(one)(jax.random.split(key, n))
    return jnp.where(states == 1, 1, -1).astype(grid.field.dtype)


class _Row(NamedTuple):
    """One of every row."""

    field: Array
    right: Array
    down: Array


def _rows(grid: Grid) -> _Row:
    """Rows, the last of them coupled to nothing."""
    return _Row(grid.field, grid.right, jnp.pad(grid.down, ((0, 1), (0, 0))))


def _empty(grid: Grid) -> Array:
    return jnp.zeros((2,) * grid.field.shape[1], grid.field.dtype)


def _along(values: Array, j: int, n: int) -> Array:
    """Numbers of the two states of spin j, to be added to a table of n spins."""
    return values.reshape([2 if a == j else 1 for a in range(n)])


def _entered(table: Array, place: _Row) -> Array:
    """With the weights inside of a row."""
    n, spin = table.ndim, jnp.array([-1, 1], table.dtype)
    for j in range(n):
        table = table + _along(place.field[j] * spin, j, n)
    for j in range(n - 1):
        table = table + place.right[j] * _along(spin, j, n) * _along(spin, j + 1, n)
    return table


def _sums(table: Array, down: Array) -> list[Array]:
    """The table, and after the sum over each spin from the left, the one below in its place."""
    found = [table]
    for j in range(table.ndim):
        low, high = (jax.lax.index_in_dim(table, i, j, keepdims=False) for i in (0, 1))
        both = [jnp.logaddexp(low - s * down[j], high + s * down[j]) for s in (-1, 1)]
        table = jnp.stack(both, axis=j)
        found.append(table)
    return found


def _check_width(grid: Grid) -> None:
    check(grid)
    columns = grid.field.shape[1]
    if columns > WIDEST:
        raise ValueError(f"grid: expected at most {WIDEST} columns, got {columns}")


def plane(coupling: Float[Array, ""], *, n_nodes: int = 4096) -> Scalar:
    """lim (log Z)/n of n spins of the plane with one J and no field, in nats a spin.

    log(2 cosh 2J) + (1/2π) ∫_0^π log ½(1 + √(1 − κ² sin² φ)) dφ with κ = 2 sinh 2J / cosh² 2J, by
    the midpoint rule: to all digits away from κ = 1, where the integrand has a kink, at
    J = ½ log(1 + √2), to about 1/n_nodes².

    Args:
      coupling: J.
      n_nodes: of the integral.

    Reference: Onsager 1944, equation 109b, Physical Review 65.
    """
    phi = (jnp.arange(n_nodes).astype(coupling.dtype) + 0.5) * (jnp.pi / n_nodes)
    kappa = 2 * jnp.sinh(2 * coupling) / jnp.square(jnp.cosh(2 * coupling))
    root = jnp.sqrt(jnp.maximum(1 - jnp.square(kappa * jnp.sin(phi)), 0))
    return jnp.log(2 * jnp.cosh(2 * coupling)) + 0.5 * jnp.log(0.5 * (1 + root)).mean()
