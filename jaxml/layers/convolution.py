# SPDX-License-Identifier: Apache-2.0
"""Convolution and transposed convolution, channels last, with any number of spatial axes.

"Convolution" is the field's word for cross-correlation: the kernel is not turned round. Sizes are
`n ... c` for data (NHWC with two spatial axes) and `... c o` for kernels (HWIO).
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from jaxml.layers.convolution_geometry import (
    Geometry,
    Padding,
    margins,
    per_axis,
    transposed_convolution_size,
)
from jaxml.layers.convolution_primitive import convolve, input_gradient
from jaxml.types import Array


def convolution(
    x: Float[Array, "n *size c"],
    kernel: Float[Array, "*window c_per_group o"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    precision: Any = None,
) -> Float[Array, "n *new_size o"]:
    """y[n, i] = Σ_k x[n, stride·i + dilation·k − low] K[k].

    Differentiable in every mode and to every order, and as fast inside a loop as outside of one.

    Args:
      x: data.
      kernel: K; with groups, output channel `o` reads the input channels of its group alone.
      stride: step between windows.
      padding: zeros around `x`: a number, one an axis, a pair `(low, high)` an axis, or a function
        such as `valid`, `same` or `causal`. Negative numbers crop.
      dilation: step between the taps of the kernel.
      groups: number of blocks of channels; as many as channels is a depthwise convolution.
      flip_kernel: turn K round along every spatial axis: the convolution of mathematics, which
        commutes, Σ_k x[i − k] K[k].
      precision: see `jax.lax.Precision`.

    Returns:
      y, with `convolution_size` positions an axis.

    Raises:
      ValueError: if sizes, channels or options do not fit.

    Reference: Dumoulin and Visin 2016, section 2, arXiv:1603.07285.
    """
    n_axes = _n_axes(x, kernel)
    stride = per_axis("stride", stride, n_axes, least=1)
    dilation = per_axis("dilation", dilation, n_axes, least=1)
    size, window = x.shape[1:-1], kernel.shape[:-2]
    geometry = Geometry(
        size, window, stride, margins(padding, size, window, stride, dilation), dilation, groups
    )
    if groups < 1 or x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ValueError(
            f"groups = {groups} must split the {kernel.shape[-1]} output channels evenly and the "
            f"{x.shape[-1]} channels of x into blocks of the kernel's {kernel.shape[-2]}"
        )
    if min(geometry.output, default=1) < 1:
        raise ValueError(f"kernel {window} with dilation {dilation} exceeds the padded x of {size}")
    turned = jnp.flip(kernel, range(n_axes)) if flip_kernel else kernel
    return convolve(x, turned, geometry, precision)


def transposed_convolution(
    x: Float[Array, "n *size c"],
    kernel: Float[Array, "*window o_per_group c"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    precision: Any = None,
) -> Float[Array, "n *new_size o"]:
    """y[n, j] = Σ x[n, i] Kᵀ[k] over all i, k with stride·i + dilation·k − low = j.

    The adjoint of the convolution with the same kernel and options: `⟨convolution(y, K), x⟩ =
    ⟨y, transposed_convolution(x, K)⟩`. So the kernel has the layout of that convolution: its last
    axis counts the channels of `x`, the axis before the output channels of a group.

    Args:
      x: data.
      kernel: K of the convolution that is transposed.
      stride: by how much the output is finer than `x`.
      padding: what the output loses at its sides, as the padding of that convolution. `same` gives
        `stride` times the size where the kernel is at least as wide as the stride.
      output_padding: how much longer the output is at its end, below the stride.
      dilation: step between the taps of the kernel.
      groups: number of blocks of channels.
      precision: see `jax.lax.Precision`.

    Returns:
      y, with `transposed_convolution_size` positions an axis.

    Raises:
      ValueError: if sizes, channels or options do not fit.

    Reference: Dumoulin and Visin 2016, section 4, arXiv:1603.07285.
    """
    n_axes = _n_axes(x, kernel)
    stride = per_axis("stride", stride, n_axes, least=1)
    dilation = per_axis("dilation", dilation, n_axes, least=1)
    extra = per_axis("output_padding", output_padding, n_axes, least=0)
    size, window = x.shape[1:-1], kernel.shape[:-2]
    fine = tuple(n * s for n, s in zip(size, stride, strict=True))
    pads = margins(padding, fine, window, stride, dilation)
    output = tuple(
        transposed_convolution_size(n, k, stride=s, padding=p, output_padding=e, dilation=d)
        for n, k, s, p, e, d in zip(size, window, stride, pads, extra, dilation, strict=True)
    )
    if groups < 1 or x.shape[-1] != kernel.shape[-1] or x.shape[-1] % groups:
        raise ValueError(
            f"the kernel's last axis must count the {x.shape[-1]} channels of x, and groups = "
            f"{groups} must split them evenly; the kernel has {kernel.shape[-1]}"
        )
    if any(e >= s for e, s in zip(extra, stride, strict=True)) or min(output, default=1) < 1:
        raise ValueError(
            f"output_padding {extra} must be below stride {stride}, and padding {pads} must leave "
            f"an output; its size would be {output}"
        )
    geometry = Geometry(output, window, stride, pads, dilation, groups)
    return input_gradient(x, kernel, geometry, precision)


def _n_axes(x: Array, kernel: Array) -> int:
    if x.ndim != kernel.ndim or x.ndim < 2:
        raise ValueError(
            f"x (n ... c) and kernel (... c o) must have one rank; got {x.shape}, {kernel.shape}"
        )
    return x.ndim - 2
