# SPDX-License-Identifier: Apache-2.0
"""Batch normalization with its running statistics in the arguments and in the result."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxml.layers.moments import Moments, Names, along, flat, moments, normalize
from jaxml.types import Array


class BatchNorm(NamedTuple):
    """What batch normalization returns in training.

    Attributes:
      y: the normalized batch.
      mean: the running mean after this batch.
      variance: the running variance after this batch.
    """

    y: Float[Array, "n *size c"]
    mean: Float[Array, " c"]
    variance: Float[Array, " c"]


def batch_norm(
    x: Float[Array, "n *size c"],
    mean: Float[Array, " c"],
    variance: Float[Array, " c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    decay: float = 0.9,
    ddof: int = 1,
    eps: float = 1e-5,
    axis_name: Names = None,
) -> BatchNorm:
    """y = γ (x − μ)/√(σ² + ε) + β in training, with the moments of each channel over the batch.

    The running statistics follow m ← decay·m + (1 − decay)·(that of the batch), the variance (not
    the standard deviation) with Σ(x − μ)²/(n − ddof). With `ddof = 1` and `decay = 0.9` this is
    PyTorch (`momentum = 0.1`), which normalizes by the biased variance and remembers the unbiased;
    with `ddof = 0` it is Flax, Keras and the moving averages of most papers.

    Args:
      x: data; half precision is computed in single precision and returned as half.
      mean: running mean, 0 at first.
      variance: running variance, 1 at first.
      scale: γ, or 1.
      bias: β, or 0.
      decay: weight of the old running statistics.
      ddof: what the running variance subtracts from the count.
      eps: ε, added to the variance.
      axis_name: mapped axes (of `vmap` or `shard_map`) that hold the rest of the batch.

    Returns:
      y and the new running statistics, through which no gradient flows.

    Raises:
      ValueError: if a channel has no more than `ddof` values.

    Reference: Ioffe and Szegedy 2015, algorithms 1 and 2, arXiv:1502.03167.
    """
    count = math.prod(x.shape[:-1]) * (1 if axis_name is None else lax.axis_size(axis_name))
    if count <= ddof:
        raise ValueError(f"x of {x.shape} holds {count} values a channel; ddof = {ddof} needs more")
    rows = flat(x, of_batch=True)
    batch = moments(rows, x.shape[-1], of_batch=True, names=axis_name)
    y = normalize(rows, batch, scale, bias, eps).astype(x.dtype).reshape(x.shape)
    center = (batch.shift + batch.offset).reshape(-1)
    spread = batch.variance.reshape(-1) * (count / (count - ddof))

    def follow(old: Array, new: Array) -> Array:
        return decay * old + (1 - decay) * lax.stop_gradient(new).astype(old.dtype)

    return BatchNorm(y, follow(mean, center), follow(variance, spread))


def batch_norm_evaluation(
    x: Float[Array, "n *size c"],
    mean: Float[Array, " c"],
    variance: Float[Array, " c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Array, "n *size c"]:
    """y = γ (x − μ)/√(σ² + ε) + β with the running statistics: each example by itself.

    Args:
      x: data.
      mean: μ, the running mean.
      variance: σ², the running variance.
      scale: γ, or 1.
      bias: β, or 0.
      eps: ε, added to the variance.

    Reference: Ioffe and Szegedy 2015, algorithm 2, steps 10 and 11, arXiv:1502.03167.
    """
    rows = flat(x, of_batch=True)
    shift = along(mean, rows)
    statistics = Moments(shift, jnp.zeros_like(shift), along(variance, rows))
    return normalize(rows, statistics, scale, bias, eps).astype(x.dtype).reshape(x.shape)
