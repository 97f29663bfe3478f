# SPDX-License-Identifier: Apache-2.0
"""Normalization of each example by moments of its own, channels last, any number of axes."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxml.layers.moments import along, flat, moments, normalize
from jaxml.numerics import widen
from jaxml.types import Array


def group_norm(
    x: Float[Array, "n *size c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    groups: int,
    eps: float = 1e-5,
) -> Float[Array, "n *size c"]:
    """y = γ (x − μ)/√(σ² + ε) + β, with moments over positions and the channels of a group.

    Exact to single precision also where the mean is 1e4 standard deviations.

    Args:
      x: data; half precision is computed in single precision and returned as half.
      scale: γ, or 1.
      bias: β, or 0.
      groups: number of blocks of channels.
      eps: ε, added to the variance. Flax adds 1e-6 by default, PyTorch 1e-5.

    Raises:
      ValueError: if `groups` does not divide the channels.

    Reference: Wu and He 2018, equations 1 to 6, arXiv:1803.08494.
    """
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"groups = {groups} must divide the {x.shape[-1]} channels of x")
    rows = flat(x)
    return normalize(rows, moments(rows, groups), scale, bias, eps).astype(x.dtype).reshape(x.shape)


def instance_norm(
    x: Float[Array, "n *size c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Array, "n *size c"]:
    """y = γ (x − μ)/√(σ² + ε) + β, with the moments of each channel over its positions.

    Args:
      x: data.
      scale: γ, or 1.
      bias: β, or 0.
      eps: ε, added to the variance.

    Reference: Ulyanov, Vedaldi and Lempitsky 2016, equation 2, arXiv:1607.08022.
    """
    return group_norm(x, scale, bias, groups=x.shape[-1], eps=eps)


def layer_norm(
    x: Float[Array, "*shape c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Array, "*shape c"]:
    """y = γ (x − μ)/√(σ² + ε) + β, with moments over the channels of each position.

    Args:
      x: data; half precision is computed in single precision and returned as half.
      scale: γ, or 1.
      bias: β, or 0.
      eps: ε, added to the variance. Flax adds 1e-6 by default, PyTorch 1e-5.

    Reference: Ba, Kiros and Hinton 2016, equations 3 and 4, arXiv:1607.06450.
    """
    wide = widen(x)
    c = x.shape[-1]
    # One of its channels brings a row near zero, so that a large mean does not cancel.
    d = wide - lax.stop_gradient(lax.slice_in_dim(wide, c // 2, c // 2 + 1, axis=-1))
    # Squares before the first sum: the other order costs a transformer's step a fifth on a CPU,
    # by the order in which the backward pass then adds up.
    squares = jnp.square(d)
    means = d.mean(-1, keepdims=True), squares.mean(-1, keepdims=True)
    # What a row has once is computed once: without barriers the compiler fuses it into the passes.
    first, second = lax.optimization_barrier(means)
    a = lax.rsqrt(second - jnp.square(first) + eps)
    a, b = lax.optimization_barrier((a, -first * a))
    y = d * a + b
    if scale is not None:
        y = y * along(scale, y)
    if bias is not None:
        y = y + along(bias, y)
    return y.astype(x.dtype)


def rms_norm(
    x: Float[Array, "*shape c"],
    scale: Float[Array, " c"] | None = None,
    *,
    eps: float = 1e-6,
) -> Float[Array, "*shape c"]:
    """y = γ x/√(E[x²] + ε), with the mean over the channels of each position.

    Args:
      x: data; half precision is computed in single precision and returned as half.
      scale: γ, or 1.
      eps: ε, added to the mean square.

    Reference: Zhang and Sennrich 2019, equation 4, arXiv:1910.07467.
    """
    y = widen(x)
    y = y * lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + eps)
    if scale is not None:
        y = y * along(scale, y)
    return y.astype(x.dtype)
