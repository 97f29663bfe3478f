# SPDX-License-Identifier: Apache-2.0
"""Belief propagation on a rectangle of spins: four arrays of messages, moved by one place.

A message to a spin is one number, the field u that a neighbour adds: tanh u = tanh J tanh w, with w
the field of the neighbour without this spin.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import log_cosh
from jaxml.probability.factor_graph.messages import check_steps
from jaxml.probability.ising.grid import Field, Grid, check
from jaxml.types import Scalar


class Beliefs(NamedTuple):
    """What messages say in the end.

    Attributes:
      magnetization: E s_i.
      right: E s_i s_j of a spin and the one to its right.
      down: of a spin and the one below it.
      log_partition: Bethe's log Z in nats, exact for one row.
      change: the largest change of a field in the last step.
    """

    magnetization: Field
    right: Float[Array, "rows _"]
    down: Float[Array, "_ columns"]
    log_partition: Scalar
    change: Scalar


def sum_product(grid: Grid, n_steps: int, *, damping: float | Scalar = 0.0) -> Beliefs:
    """u_{j→i} = artanh(tanh J_ij tanh(h_j + Σ_{k ≠ i} u_{k→j})), all at once, n times.

    log Z ≈ Σ_i log Z_i − Σ_ij log Z_ij, the sums over one spin and over two neighbours under the
    messages from all others.

    Args:
      grid: the model.
      n_steps: steps.
      damping: share of the old field in a message.

    Raises:
      ValueError: for couplings that do not fit, no step, and a damping outside of [0, 1).

    Reference: Mézard and Montanari 2009, Information, Physics, and Computation, section 14.2.
    """
    check(grid)
    check_steps(n_steps, damping)

    def step(u: _Messages, _: None) -> tuple[_Messages, Scalar]:
        fresh = _passed(grid, _cavities(grid, u))
        change = [jnp.max(jnp.abs(b - a), initial=0) for a, b in zip(u, fresh, strict=True)]
        mixed = [b + damping * (a - b) for a, b in zip(u, fresh, strict=True)]
        return _Messages(*mixed), jnp.max(jnp.stack(change))

    zero = _Messages(*(jnp.zeros_like(a) for a in (grid.right, grid.right, grid.down, grid.down)))
    u, changes = jax.lax.scan(step, zero, length=n_steps)
    w = _cavities(grid, u)
    single = _single(grid, w)
    pairs = _pair(grid.right, w.east, w.west), _pair(grid.down, w.south, w.north)
    total = single.sum() - sum((log_z.sum() for log_z, _ in pairs), jnp.zeros((), single.dtype))
    return Beliefs(jnp.tanh(_total(grid, u)), pairs[0][1], pairs[1][1], total, changes[-1])


class _Messages(NamedTuple):
    """Fields on edges, by the direction in which they go."""

    east: Array
    west: Array
    south: Array
    north: Array


def _spread(on_edges: _Messages) -> _Messages:
    """What arrives at every spin from each side, 0 where there is no neighbour."""
    east, west, south, north = on_edges
    return _Messages(
        jnp.pad(east, ((0, 0), (1, 0))),
        jnp.pad(west, ((0, 0), (0, 1))),
        jnp.pad(south, ((1, 0), (0, 0))),
        jnp.pad(north, ((0, 1), (0, 0))),
    )


def _total(grid: Grid, u: _Messages) -> Field:
    heard = _spread(u)
    return grid.field + heard.east + heard.west + heard.south + heard.north


def _cavities(grid: Grid, u: _Messages) -> _Messages:
    """w: the field of a spin without the neighbour that it speaks to."""
    total, heard = _total(grid, u), _spread(u)
    return _Messages(
        (total - heard.west)[:, :-1],
        (total - heard.east)[:, 1:],
        (total - heard.north)[:-1],
        (total - heard.south)[1:],
    )


def _passed(grid: Grid, w: _Messages) -> _Messages:
    couplings = grid.right, grid.right, grid.down, grid.down
    return _Messages(*(_through(J, field) for J, field in zip(couplings, w, strict=True)))


def _through(J: Array, w: Array) -> Array:
    """artanh(tanh J tanh w), for fields of any size.

    With p = |J| and q = |w| it is ±(min(p, q) + ½ log (1 + e^−2(p + q))/(1 + e^−2|p − q|)).
    """
    # Not `jnp.abs` and `jnp.sign`, whose slopes of 0 at 0 would stop a field that begins there.
    a, b = (jnp.where(x < 0, -1, 1).astype(x.dtype) for x in (J, w))
    p, q = a * J, b * w
    low, high = jnp.minimum(p, q), jnp.maximum(p, q)
    ratio = (1 + jnp.exp(-2 * (low + high))) / (1 + jnp.exp(2 * (low - high)))
    return a * b * (low + 0.5 * jnp.log(ratio))


def _single(grid: Grid, w: _Messages) -> Field:
    """log Σ_s e^{hs} Π cosh(Js + w)/cosh w over the neighbours of every spin."""
    couplings = grid.right, grid.right, grid.down, grid.down
    of_state = []
    for s in (-1, 1):
        parts = [
            log_cosh(s * J + field) - log_cosh(field) for J, field in zip(couplings, w, strict=True)
        ]
        heard = _spread(_Messages(*parts))
        of_state.append(s * grid.field + heard.east + heard.west + heard.south + heard.north)
    return jnp.logaddexp(*of_state)


def _pair(J: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """log Σ_{st} e^{Jst + as + bt} / (4 cosh a cosh b), and E st."""
    same, other = J + log_cosh(a + b), -J + log_cosh(a - b)
    total = jnp.logaddexp(same, other) - math.log(2)
    return total - log_cosh(a) - log_cosh(b), jnp.tanh(0.5 * (same - other))
