# SPDX-License-Identifier: Apache-2.0
"""The largest or the mean value of each window, channels last, any number of axes.

Written as one strided slice a tap and an elementwise reduction: differentiable in every mode, and
its gradients are as fast inside a compiled loop as outside.
"""

import itertools
from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxml.layers.convolution_geometry import Padding, convolution_size, margins, per_axis
from jaxml.types import Array


def max_pool(
    x: Float[Array, "n *size c"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Float[Array, "n *new_size c"]:
    """y[i] = max_k x[stride·i + k − low]; equal largest values share the gradient.

    Args:
      x: data.
      window: positions along each axis.
      stride: step between windows; the window if None.
      padding: −inf around x, so that it never wins.

    Raises:
      ValueError: if sizes do not fit.
    """
    return reduce(jnp.maximum, _taps(x, window, stride, padding, -jnp.inf))


def average_pool(
    x: Float[Array, "n *size c"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_padding: bool = False,
) -> Float[Array, "n *new_size c"]:
    """y[i] = mean_k x[stride·i + k − low], over the positions of the window that x has.

    Args:
      x: data.
      window: positions along each axis.
      stride: step between windows; the window if None.
      padding: zeros around x.
      count_padding: divide by the whole window everywhere, as PyTorch does by default.

    Raises:
      ValueError: if sizes do not fit.
    """
    taps = _taps(x, window, stride, padding, 0.0)
    total = reduce(jnp.add, taps)
    if count_padding:
        return total / len(taps)
    here = jnp.ones((1, *x.shape[1:-1], 1), x.dtype)
    count = reduce(jnp.add, _taps(here, window, stride, padding, 0.0))
    return total / jnp.broadcast_to(count, total.shape)


def global_average(x: Float[Array, "n *size c"]) -> Float[Array, "n c"]:
    """The mean over all positions."""
    return x.mean(tuple(range(1, x.ndim - 1)))


def global_max(x: Float[Array, "n *size c"]) -> Float[Array, "n c"]:
    """The largest value over all positions."""
    return x.max(tuple(range(1, x.ndim - 1)))


def _taps(
    x: Array,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
    fill: float,
) -> list[Array]:
    n_axes = x.ndim - 2
    window = per_axis("window", window, n_axes, least=1)
    stride = window if stride is None else per_axis("stride", stride, n_axes, least=1)
    sides = margins(padding, x.shape[1:-1], window, stride, (1,) * n_axes)
    new = [
        convolution_size(size, k, stride=s, padding=side)
        for size, k, s, side in zip(x.shape[1:-1], window, stride, sides, strict=True)
    ]
    if min(new, default=1) < 1:
        raise ValueError(f"window {window} does not fit into {x.shape[1:-1]} with padding {sides}")
    edges = [(0, 0, 0), *((low, high, 0) for low, high in sides), (0, 0, 0)]
    padded = lax.pad(x, jnp.asarray(fill, x.dtype), edges)

    def at(tap: tuple[int, ...]) -> tuple[slice, ...]:
        ends = zip(tap, new, stride, strict=True)
        return (slice(None), *(slice(k, k + (m - 1) * s + 1, s) for k, m, s in ends))

    return [padded[at(tap)] for tap in itertools.product(*map(range, window))]
