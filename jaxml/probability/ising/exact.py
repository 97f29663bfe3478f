# SPDX-License-Identifier: Apache-2.0
"""log Z of spins on a rectangle, row after row, and of the infinite plane."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.probability.ising.grid import Grid, check
from jaxml.types import Scalar

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
    check(grid)
    columns = grid.field.shape[1]
    if columns > WIDEST:
        raise ValueError(f"grid: expected at most {WIDEST} columns, got {columns}")
    dtype = grid.field.dtype
    spin = jnp.array([-1, 1], dtype)

    def along(j: int, values: Array) -> Array:
        """Numbers of the two states of spin j, to be added to a table of all spins of a row."""
        return values.reshape([2 if a == j else 1 for a in range(columns)])

    def row(table: Array, h: Array, right: Array) -> Array:
        for j in range(columns):
            table = table + along(j, h[j] * spin)
        for j in range(columns - 1):
            table = table + right[j] * along(j, spin) * along(j + 1, spin)
        return table

    def step(table: Array, place: tuple[Array, Array, Array]) -> tuple[Array, None]:
        h, right, down = place
        for j in range(columns):
            low, high = (jax.lax.index_in_dim(table, i, j, keepdims=False) for i in (0, 1))
            both = [jnp.logaddexp(low - s * down[j], high + s * down[j]) for s in (-1, 1)]
            table = jnp.stack(both, axis=j)
        return row(table, h, right), None

    table = row(jnp.zeros((2,) * columns, dtype), grid.field[0], grid.right[0])
    table, _ = jax.lax.scan(step, table, (grid.field[1:], grid.right[1:], grid.down))
    return jax.nn.logsumexp(table)


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
