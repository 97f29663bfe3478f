# SPDX-License-Identifier: Apache-2.0
"""Normalizations as modules that own a scale, a bias, and what they remember of batches."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from jaxml.layers.batch_normalization import batch_norm, batch_norm_evaluation
from jaxml.layers.moments import Names
from jaxml.layers.normalization import group_norm, layer_norm, rms_norm
from jaxml.types import Array


class BatchNorm(nnx.Module):
    """y = γ (x − μ)/√(σ² + ε) + β with the batch's moments in training, the running ones after.

    In training a call changes `mean` and `variance`, as a module may inside a loss: `descend`
    hands them on.

    Args:
      n: channels.
      decay: weight of the old running statistics.
      ddof: what the running variance subtracts from the count; 0 is Flax, 1 is PyTorch.
      eps: ε.
      axis_name: mapped axes that hold the rest of the batch.

    Raises:
      ValueError: if `n` is not positive or `decay` lies outside [0, 1).

    Reference: Ioffe and Szegedy 2015, algorithms 1 and 2, arXiv:1502.03167.
    """

    def __init__(
        self,
        n: int,
        *,
        decay: float = 0.9,
        ddof: int = 1,
        eps: float = 1e-5,
        axis_name: Names = None,
    ):
        self.scale, self.bias = nnx.Param(_vector(n, 1.0)), nnx.Param(_vector(n, 0.0))
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay}")
        self.mean, self.variance = nnx.BatchStat(_vector(n, 0.0)), nnx.BatchStat(_vector(n, 1.0))
        self.decay, self.ddof, self.eps, self.axis_name = decay, ddof, eps, axis_name

    def __call__(
        self, x: Float[Array, "batch *size c"], *, training: bool
    ) -> Float[Array, "batch *size c"]:
        """y, and in training the running statistics after this batch."""
        mean, variance = self.mean[...], self.variance[...]
        affine = self.scale[...], self.bias[...]
        if not training:
            return batch_norm_evaluation(x, mean, variance, *affine, eps=self.eps)
        found = batch_norm(
            x,
            mean,
            variance,
            *affine,
            decay=self.decay,
            ddof=self.ddof,
            eps=self.eps,
            axis_name=self.axis_name,
        )
        self.mean[...], self.variance[...] = found.mean, found.variance
        return found.y


class GroupNorm(nnx.Module):
    """y = γ (x − μ)/√(σ² + ε) + β over positions and the channels of a group.

    As many groups as channels are instance normalization.

    Args:
      n: channels.
      groups: blocks of channels.
      eps: ε.

    Raises:
      ValueError: if `n` is not positive or `groups` does not divide it.

    Reference: Wu and He 2018, equations 1 to 6, arXiv:1803.08494.
    """

    def __init__(self, n: int, groups: int, *, eps: float = 1e-5):
        self.scale, self.bias = nnx.Param(_vector(n, 1.0)), nnx.Param(_vector(n, 0.0))
        if groups < 1 or n % groups:
            raise ValueError(f"groups: expected a divisor of n = {n}, got {groups}")
        self.groups, self.eps = groups, eps

    def __call__(self, x: Float[Array, "batch *size c"]) -> Float[Array, "batch *size c"]:
        """y, each example by itself."""
        return group_norm(x, self.scale[...], self.bias[...], groups=self.groups, eps=self.eps)


class LayerNorm(nnx.Module):
    """y = γ (x − μ)/√(σ² + ε) + β over the channels of each position.

    Args:
      n: channels.
      eps: ε.

    Raises:
      ValueError: if `n` is not positive.

    Reference: Ba, Kiros and Hinton 2016, equations 3 and 4, arXiv:1607.06450.
    """

    def __init__(self, n: int, *, eps: float = 1e-5):
        self.scale, self.bias = nnx.Param(_vector(n, 1.0)), nnx.Param(_vector(n, 0.0))
        self.eps = eps

    def __call__(self, x: Float[Array, "*shape c"]) -> Float[Array, "*shape c"]:
        """y, each position by itself."""
        return layer_norm(x, self.scale[...], self.bias[...], eps=self.eps)


class RMSNorm(nnx.Module):
    """y = γ x/√(E[x²] + ε) over the channels of each position.

    Args:
      n: channels.
      eps: ε.

    Raises:
      ValueError: if `n` is not positive.

    Reference: Zhang and Sennrich 2019, equation 4, arXiv:1910.07467.
    """

    def __init__(self, n: int, *, eps: float = 1e-6):
        self.scale, self.eps = nnx.Param(_vector(n, 1.0)), eps

    def __call__(self, x: Float[Array, "*shape c"]) -> Float[Array, "*shape c"]:
        """y, each position by itself."""
        return rms_norm(x, self.scale[...], eps=self.eps)


def _vector(n: int, value: float) -> Array:
    if n < 1:
        raise ValueError(f"n: expected a positive number of channels, got {n}")
    return jnp.full(n, value)
