# SPDX-License-Identifier: Apache-2.0
"""Planar and radial flows: space is pushed along one direction or around one point."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.bijection import align
from jaxml.bijections.root import bent_root
from jaxml.numerics import norm, softplus

Vector = Float[Array, "*batch d"]
Each = Float[Array, "*batch"]


class Planar(NamedTuple):
    """w, u and b of a planar flow; u of zeros gives the identity."""

    normal: Float[Array, "*#batch d"]
    direction: Float[Array, "*#batch d"]
    offset: Float[Array, "*#batch"]


class Radial(NamedTuple):
    """The centre, and raw numbers of radius and strength; a strength of 0 gives the identity."""

    centre: Float[Array, "*#batch d"]
    radius: Float[Array, "*#batch"]
    strength: Float[Array, "*#batch"]


def planar(x: Vector, params: Planar) -> tuple[Vector, Each]:
    """y = x + û tanh(wᵀx + b) with determinant 1 + wᵀû (1 − tanh²).

    û = u + (m − wᵀu) w/‖w‖² has wᵀû = m(wᵀu) > −1, as the inverse needs. m(a) = a for a ≥ 0 and
    e^a − 1 below keeps û = u where that is allowed already, and stays smooth as w → 0, where the
    m(a) = −1 + softplus(a) of the paper lets û grow without end.

    Reference: Rezende and Mohamed 2015, equations 10 to 12 and appendix A.1, arXiv:1505.05770.
    """
    params = _aligned(params, x)
    u, gain = _allowed(params)
    h = jnp.tanh(jnp.sum(x * params.normal, -1) + params.offset)
    return x + u * h[..., None], _log_rank_one(h, gain)


def planar_inverse(y: Vector, params: Planar) -> tuple[Vector, Each]:
    """x = y − û tanh(α + b), where α = wᵀx is the root of α + wᵀû tanh(α + b) = wᵀy."""
    params = _aligned(params, y)
    u, gain = _allowed(params)
    target = jnp.sum(y * params.normal, -1)
    alpha = bent_root(target, gain - 1, jnp.ones_like(gain), params.offset)
    h = jnp.tanh(alpha + params.offset)
    return y - u * h[..., None], -_log_rank_one(h, gain)


def _aligned(params, x: Array):
    """Vectors against x, numbers against its batch."""
    vector, *rest = params
    same = [align(p, x.ndim - 1 + (p.ndim == vector.ndim)) for p in rest]
    return type(params)(align(vector, x.ndim), *same)


def _allowed(params: Planar) -> tuple[Array, Array]:
    """û, and 1 + wᵀû."""
    w, u = params.normal, params.direction
    a = jnp.sum(w * u, -1)
    below = a < 0
    safe = jnp.where(below, a, 0.0)
    gain = jnp.where(below, jnp.exp(safe), 1 + a)
    square = jnp.sum(jnp.square(w), -1)
    ratio = jnp.where(
        square > 0, (jnp.expm1(safe) - safe) / jnp.where(square > 0, square, 1.0), 0.0
    )
    return u + ratio[..., None] * w, gain


def _log_rank_one(h: Array, gain: Array) -> Array:
    """log(1 + (g − 1)(1 − h²)) = log(h² + g (1 − h²)), a sum of positive terms."""
    square = jnp.square(h)
    return jnp.log(square + gain * (1 - square))


def radial(x: Vector, params: Radial) -> tuple[Vector, Each]:
    """y = x + βh (x − c), h = 1/(α + ‖x − c‖), with determinant (1 + βh)^(D−1) (1 + αβh²).

    α = softplus(raw) and β = α (e^raw − 1) > −α.

    Reference: Rezende and Mohamed 2015, equation 14 and appendix A.2, arXiv:1505.05770.
    """
    params = _aligned(params, x)
    alpha, grown = _radii(params)
    r = norm(x - params.centre, axis=-1)
    stretch = (r + grown) / (alpha + r)
    y = params.centre + stretch[..., None] * (x - params.centre)
    return y, _radial_log_det(r, alpha, grown, x.shape[-1])


def radial_inverse(y: Vector, params: Radial) -> tuple[Vector, Each]:
    """The radius before, r² + (α + β − ρ) r = αρ, ρ = ‖y − c‖, by the root that loses no digits."""
    params = _aligned(params, y)
    alpha, grown = _radii(params)
    rho = norm(y - params.centre, axis=-1)
    b = rho - grown
    root_ = jnp.sqrt(jnp.square(b) + 4 * rho * alpha + jnp.finfo(y.dtype).tiny)
    far = b > 0
    r = jnp.where(far, 0.5 * (b + root_), 2 * rho * alpha / jnp.where(far, 1.0, root_ - b))
    x = params.centre + ((alpha + r) / (r + grown))[..., None] * (y - params.centre)
    return x, -_radial_log_det(r, alpha, grown, y.shape[-1])


def _radii(params: Radial) -> tuple[Array, Array]:
    """α, and α + β = α e^raw."""
    alpha = softplus(params.radius)
    return alpha, alpha * jnp.exp(params.strength)


def _radial_log_det(r: Array, alpha: Array, grown: Array, d: int) -> Array:
    total = alpha + r
    along = jnp.square(r) + 2 * alpha * r + alpha * grown
    return (d - 1) * jnp.log((r + grown) / total) + jnp.log(along) - 2 * jnp.log(total)
