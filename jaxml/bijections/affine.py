# SPDX-License-Identifier: Apache-2.0
"""Elementwise affine maps, and the one that normalizes its first batch."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Affine(NamedTuple):
    """t and s of y = x e^s + t; both broadcast against x."""

    shift: Float[Array, "..."]
    log_scale: Float[Array, "..."]


def affine(
    x: Float[Array, "*shape"], params: Affine
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """y = x e^s + t with log-slope s.

    e^s overflows in float32 at 88.7: a network that gives s should bound it, as
    `jaxml.numerics.soft_clip(raw, 3)` does.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, equation 5, arXiv:1605.08803.
    """
    shift, log_scale = (jnp.broadcast_to(p, x.shape) for p in params)
    return x * jnp.exp(log_scale) + shift, log_scale


def affine_inverse(
    y: Float[Array, "*shape"], params: Affine
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """x = (y − t) e^−s with log-slope −s."""
    shift, log_scale = (jnp.broadcast_to(p, y.shape) for p in params)
    return (y - shift) * jnp.exp(-log_scale), -log_scale


def actnorm(
    x: Float[Array, "*shape"], *, axes: int | Sequence[int] = 0, eps: float = 1e-6
) -> Affine:
    """The t and s under which this batch has mean 0 and variance 1: s = −½ log(σ² + ε), t = −μ e^s.

    A pure step before training: the parameters are then learned like any others.

    Args:
      x: a batch.
      axes: what the statistics are taken over; all but the channels in an image model.
      eps: ε, for a channel that is constant.

    Reference: Kingma and Dhariwal 2018, section 3.1, arXiv:1807.03039.
    """
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    mean = x.mean(axes)
    log_scale = -0.5 * jnp.log(jnp.square(x - x.mean(axes, keepdims=True)).mean(axes) + eps)
    return Affine(-mean * jnp.exp(log_scale), log_scale)
