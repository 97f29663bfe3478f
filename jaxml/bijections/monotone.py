# SPDX-License-Identifier: Apache-2.0
"""A monotone network of one hidden layer as an elementwise map: any increasing function."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.bijections.bijection import align
from jaxml.bijections.root import root
from jaxml.numerics import log1p_exp_neg, logsumexp, softplus, softplus_inverse

Value = Float[Array, "*shape"]


class Sigmoids(NamedTuple):
    """Raw numbers of K sigmoids; zeros give the identity.

    Attributes:
      slope: a = softplus(raw + log(e − 1)), 1 at 0.
      shift: b.
      weight: w = softmax(raw).
    """

    slope: Float[Array, "*shape units"]
    shift: Float[Array, "*shape units"]
    weight: Float[Array, "*shape units"]


def sigmoids(x: Value, params: Sigmoids) -> tuple[Value, Value]:
    """y = logit(Σ_k w_k σ(a_k x + b_k)), a > 0, w on the simplex, with its exact log-slope.

    Both tails are straight lines. In logarithms, and what all terms share is taken out first, so
    that digits are kept where the sum, or one minus it, would round to 0.

    Reference: Huang et al. 2018, section 3.1, arXiv:1804.00779.
    """
    slope, shift, weight = (align(p, x.ndim + 1) for p in params)
    a = softplus(slope + softplus_inverse(jnp.ones((), slope.dtype)))
    z, log_w = a * x[..., None] + shift, jax.nn.log_softmax(weight)
    least = jax.lax.stop_gradient(jnp.maximum(z.min(-1, keepdims=True), 0.0))
    most = jax.lax.stop_gradient(jnp.minimum(z.max(-1, keepdims=True), 0.0))
    near = log1p_exp_neg(jnp.abs(z))
    log_sigma = log_w - (jnp.maximum(-z, 0.0) + most) - near  # log w σ(z), without `most`
    log_rest = least - jnp.maximum(z, 0.0) - near  # log σ(−z), without `least`
    above, below = logsumexp(log_sigma, axis=-1), logsumexp(log_w + log_rest, axis=-1)
    density = logsumexp(log_sigma + log_rest + jnp.log(a), axis=-1)
    return above - below + (least + most)[..., 0], density - above - below


def sigmoids_inverse(y: Value, params: Sigmoids) -> tuple[Value, Value]:
    """x by bisection; its derivatives are those of the implicit function."""
    shape = jnp.broadcast_shapes(y.shape, params.slope.shape[:-1])
    y = jnp.broadcast_to(y, shape)
    x = root(_value, y, tuple(params), jnp.full_like(y, -1), jnp.full_like(y, 1))
    return x, -sigmoids(x, params)[1]


def _value(x: Array, *params: Array) -> Array:
    return sigmoids(x, Sigmoids(*params))[0]
