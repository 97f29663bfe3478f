# SPDX-License-Identifier: Apache-2.0
"""Invertible linear maps of vectors; along the channels of an image, 1x1 convolutions."""

from typing import NamedTuple

import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float, Int

from jaxml.types import Key

Vector = Float[Array, "*batch d"]
Each = Float[Array, "*batch"]


class Triangular(NamedTuple):
    """W = P L (U + diag(±e^s)), what a 1x1 convolution learns of a matrix.

    Attributes:
      lower: L below its diagonal of ones; the rest is not read.
      upper: U above its diagonal; the rest is not read.
      log_diagonal: s.
      sign: ±1, constant.
      order: P as the index of the row that comes to each place, constant.
    """

    lower: Float[Array, "d d"]
    upper: Float[Array, "d d"]
    log_diagonal: Float[Array, "d"]
    sign: Float[Array, "d"]
    order: Int[Array, "d"]


def linear(x: Vector, weight: Float[Array, "d d"]) -> tuple[Vector, Each]:
    """y = W x with log-determinant log |det W|, at the cost of D³."""
    log_det = jnp.linalg.slogdet(weight)[1]
    return x @ weight.T, jnp.broadcast_to(log_det, x.shape[:-1])


def linear_inverse(y: Vector, weight: Float[Array, "d d"]) -> tuple[Vector, Each]:
    """x = W⁻¹ y by elimination, never by the inverse matrix."""
    x = jnp.linalg.solve(weight, y.reshape(-1, y.shape[-1]).T).T.reshape(y.shape)
    return x, jnp.broadcast_to(-jnp.linalg.slogdet(weight)[1], y.shape[:-1])


def lu_linear(x: Vector, params: Triangular) -> tuple[Vector, Each]:
    """y = P L (U + diag(±e^s)) x with log-determinant Σ s, the factors multiplied once for all x.

    Reference: Kingma and Dhariwal 2018, equations 10 and 11, arXiv:1807.03039.
    """
    lower, upper = _factors(params)
    y = x @ (lower @ upper)[params.order].T
    return y, jnp.broadcast_to(params.log_diagonal.sum(), x.shape[:-1])


def lu_linear_inverse(y: Vector, params: Triangular) -> tuple[Vector, Each]:
    """x by substitution: D² a vector."""
    lower, upper = _factors(params)
    rows = y[..., jnp.argsort(params.order)].reshape(-1, y.shape[-1]).T
    solve = jax.scipy.linalg.solve_triangular
    x = solve(upper, solve(lower, rows, lower=True, unit_diagonal=True))
    return x.T.reshape(y.shape), jnp.broadcast_to(-params.log_diagonal.sum(), y.shape[:-1])


def lu_rotation(key: Key, d: int) -> Triangular:
    """A random rotation, factored: where the 1x1 convolutions of Glow begin."""
    q = jnp.linalg.qr(jax.random.normal(key, (d, d)))[0]
    p, lower, upper = jax.scipy.linalg.lu(q)
    diagonal = jnp.diag(upper)
    order = jnp.argmax(p, axis=1)
    return Triangular(lower, upper, jnp.log(jnp.abs(diagonal)), jnp.sign(diagonal), order)


def _factors(params: Triangular) -> tuple[Array, Array]:
    lower = jnp.tril(params.lower, -1) + jnp.eye(len(params.sign), dtype=params.lower.dtype)
    return lower, jnp.triu(params.upper, 1) + jnp.diag(params.sign * jnp.exp(params.log_diagonal))
