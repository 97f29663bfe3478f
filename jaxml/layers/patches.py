# SPDX-License-Identifier: Apache-2.0
"""A convolution as a matrix product: with the matrix of patches, or with the kernel's matrix."""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxml.layers.convolution_geometry import convolution_size, per_axis
from jaxml.types import Array


def patches(
    x: Float[Array, "n *size c"], window: Sequence[int], *, stride: int | Sequence[int] = 1
) -> Float[Array, "n *new_size p"]:
    """P[i] = (x[stride·i + k])ₖ, flattened in the order of a kernel: y = P K (im2col).

    An image of n × n and a window of k × k give (n − k + 1)² patches of k² numbers. This matrix
    repeats entries of x but is not constant along its diagonals: the kernel's matrix is.

    Args:
      x: data, channels last.
      window: positions along each axis.
      stride: step between windows.

    Raises:
      ValueError: if the window does not fit.
    """
    n_axes = x.ndim - 2
    window = per_axis("window", window, n_axes, least=1)
    stride = per_axis("stride", stride, n_axes, least=1)
    new = [
        convolution_size(size, k, stride=s)
        for size, k, s in zip(x.shape[1:-1], window, stride, strict=True)
    ]
    if any(n < 1 for n in new):
        raise ValueError(f"window {tuple(window)} does not fit into {x.shape[1:-1]}")
    taps = []
    for tap in itertools.product(*map(range, window)):
        slices = [
            slice(k, k + (m - 1) * s + 1, s) for k, m, s in zip(tap, new, stride, strict=True)
        ]
        taps.append(x[(slice(None), *slices)])
    return jnp.concatenate(taps, axis=-1)


def kernel_matrix(
    kernel: Float[Array, "*window c o"], size: Sequence[int]
) -> Float[Array, "outputs inputs"]:
    """T with T vec(x) = vec(convolution(x, K)), valid, stride 1: constant along its diagonals.

    For one axis and one channel it is the Toeplitz matrix T[i, j] = K[j − i]; for two axes its
    blocks are such matrices and stand in such a pattern. The transposed convolution is Tᵀ.

    Args:
      kernel: K.
      size: spatial sizes of x.

    Raises:
      ValueError: if the window does not fit.
    """
    *window, c, o = kernel.shape
    size = tuple(size)
    new = tuple(n - k + 1 for n, k in zip(size, window, strict=True))
    if any(n < 1 for n in new):
        raise ValueError(f"window {tuple(window)} does not fit into {size}")
    where = np.stack(np.meshgrid(*map(np.arange, new), indexing="ij"), -1).reshape(-1, len(new))
    read = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).reshape(-1, len(size))
    tap = read[None] - where[:, None]
    inside = np.all((tap >= 0) & (tap < np.array(window)), axis=-1)
    index = tuple(np.where(inside, tap[..., axis], 0) for axis in range(len(window)))
    entries = jnp.where(inside[..., None, None], kernel[index], 0)
    return entries.transpose(0, 3, 1, 2).reshape(math.prod(new) * o, math.prod(size) * c)
