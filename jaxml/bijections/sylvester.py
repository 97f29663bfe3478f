# SPDX-License-Identifier: Apache-2.0
"""Sylvester flows: planar ones in M orthogonal directions at once, with an exact inverse."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.bijection import align
from jaxml.bijections.root import bent_root

Vector = Float[Array, "*batch d"]
Each = Float[Array, "*batch"]


class Sylvester(NamedTuple):
    """Raw numbers of a Sylvester flow; `outer` and `outer_diagonal` of zeros give the identity.

    Attributes:
      reflections: a vector each; Q is the first M columns of the product of these reflections.
      outer: R above its diagonal; the rest is not read.
      inner: R̃ above its diagonal; the rest is not read.
      outer_diagonal: the diagonal of R is tanh of these.
      inner_diagonal: that of R̃ is tanh of these.
      offset: b.
    """

    reflections: Float[Array, "n d"]
    outer: Float[Array, "m m"]
    inner: Float[Array, "m m"]
    outer_diagonal: Float[Array, "m"]
    inner_diagonal: Float[Array, "m"]
    offset: Float[Array, "m"]


def sylvester(x: Vector, params: Sylvester) -> tuple[Vector, Each]:
    """y = x + Q R tanh(R̃ Qᵀx + b) with determinant Π_i (1 + R_ii R̃_ii (1 − tanh²_i)).

    Q has orthonormal columns, both R are upper triangular with diagonals in (−1, 1), so that no
    factor of the determinant is 0.

    Reference: van den Berg et al. 2018, section 3, arXiv:1803.05649.
    """
    q, outer, inner = _matrices(params)
    h = jnp.tanh(x @ q @ inner.T + align(params.offset, x.ndim))
    return x + h @ outer.T @ q.T, _log_det(h, outer, inner)


def sylvester_inverse(y: Vector, params: Sylvester) -> tuple[Vector, Each]:
    """x = y − Q R h: Qᵀx from the last direction to the first, each the root of one bent line."""
    q, outer, inner = _matrices(params)
    v = y @ q

    def solve(known, i):
        u, h = known
        line = v[..., i] - h @ outer[i]
        offset = u @ inner[i] + params.offset[i]
        # h_i and u_i are still 0, and so both products leave the diagonal out.
        root = bent_root(line, outer[i, i], inner[i, i], offset)
        return (
            u.at[..., i].set(root),
            h.at[..., i].set(jnp.tanh(inner[i, i] * root + offset)),
        ), None

    start = jnp.zeros_like(v), jnp.zeros_like(v)
    (_, h), _ = jax.lax.scan(solve, start, jnp.arange(v.shape[-1] - 1, -1, -1))
    return y - h @ outer.T @ q.T, -_log_det(h, outer, inner)


def orthonormal(reflections: Float[Array, "n d"], m: int) -> Float[Array, "d m"]:
    """The first M columns of H_1 ⋯ H_n, H = I − 2vvᵀ/‖v‖²; a v of zeros reflects nothing."""
    q = jnp.eye(reflections.shape[-1], m, dtype=reflections.dtype)

    def reflect(q, v):
        square = jnp.sum(jnp.square(v))
        scale = jnp.where(square > 0, 2 / jnp.where(square > 0, square, 1.0), 0.0)
        return q - scale * jnp.outer(v, v @ q), None

    return jax.lax.scan(reflect, q, reflections, reverse=True)[0]


def _matrices(params: Sylvester) -> tuple[Array, Array, Array]:
    q = orthonormal(params.reflections, params.offset.shape[-1])
    outer = jnp.triu(params.outer, 1) + jnp.diag(jnp.tanh(params.outer_diagonal))
    inner = jnp.triu(params.inner, 1) + jnp.diag(jnp.tanh(params.inner_diagonal))
    return q, outer, inner


def _log_det(h: Array, outer: Array, inner: Array) -> Array:
    """Σ log(h² + (1 + r r̃)(1 − h²)), sums of positive terms."""
    square = jnp.square(h)
    gain = 1 + jnp.diag(outer) * jnp.diag(inner)
    return jnp.log(square + align(gain, h.ndim) * (1 - square)).sum(-1)
