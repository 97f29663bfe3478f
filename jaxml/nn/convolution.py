# SPDX-License-Identifier: Apache-2.0
"""Convolution and transposed convolution as modules that own a kernel and a bias."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxml.layers.convolution import convolution, transposed_convolution
from jaxml.layers.convolution_geometry import Padding, per_axis, sides


class Conv(nnx.Module):
    """y = convolution(x, K) + b; K starts with variance 1/fan-in, b at 0.

    Args:
      n_in: channels of the input.
      n_out: channels of the output.
      window: taps of the kernel along each spatial axis; their count is the number of axes.
      stride: step between windows.
      padding: zeros around the input: numbers, pairs, or `valid`, `same`, `causal`.
      dilation: step between taps.
      groups: number of blocks of channels.
      bias: whether there is a b.
      kernel_init: initializer of K, of shape `(*window, n_in / groups, n_out)`.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not fit.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        window: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        _check(n_in, n_out, window, groups)
        self.kernel = nnx.Param(kernel_init(rngs.params(), (*window, n_in // groups, n_out)))
        self.bias = nnx.Param(jnp.zeros(n_out)) if bias else None
        n_axes = len(window)
        self.stride = per_axis("stride", stride, n_axes, least=1)
        self.dilation = per_axis("dilation", dilation, n_axes, least=1)
        self.padding, self.groups, self.dtype = sides(padding, n_axes), groups, dtype

    def __call__(self, x: Float[Array, "n *size n_in"]) -> Float[Array, "n *new_size n_out"]:
        """y, one image a row of the batch."""
        x = x if self.dtype is None else x.astype(self.dtype)
        y = convolution(
            x,
            self.kernel[...].astype(x.dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return _shift(y, self.bias)


class ConvTranspose(nnx.Module):
    """y = transposed_convolution(x, K) + b; K starts with variance 1/fan-in, b at 0.

    Args:
      n_in: channels of the input.
      n_out: channels of the output.
      window: taps of the kernel along each spatial axis; their count is the number of axes.
      stride: by how much the output is finer than the input.
      padding: what the output loses at its sides: numbers, pairs, or `valid`, `same`.
      output_padding: how much longer the output is at its end, below the stride.
      dilation: step between taps.
      groups: number of blocks of channels.
      bias: whether there is a b.
      kernel_init: initializer of K, of shape `(*window, n_out / groups, n_in)`: the layout of the
        convolution that is transposed. The default's fan-in counts all taps, of which an output
        position reads one in `stride` along each axis.
      dtype: dtype of the computation; parameters stay float32. None takes the input's.
      rngs: keys for initialization.

    Raises:
      ValueError: for sizes that do not fit.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        window: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(in_axis=-1, out_axis=-2),  # noqa: B008
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        _check(n_in, n_out, window, groups)
        self.kernel = nnx.Param(kernel_init(rngs.params(), (*window, n_out // groups, n_in)))
        self.bias = nnx.Param(jnp.zeros(n_out)) if bias else None
        n_axes = len(window)
        self.stride = per_axis("stride", stride, n_axes, least=1)
        self.dilation = per_axis("dilation", dilation, n_axes, least=1)
        self.output_padding = per_axis("output_padding", output_padding, n_axes, least=0)
        self.padding, self.groups, self.dtype = sides(padding, n_axes), groups, dtype

    def __call__(self, x: Float[Array, "n *size n_in"]) -> Float[Array, "n *new_size n_out"]:
        """y, one image a row of the batch."""
        x = x if self.dtype is None else x.astype(self.dtype)
        y = transposed_convolution(
            x,
            self.kernel[...].astype(x.dtype),
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return _shift(y, self.bias)


def _check(n_in: int, n_out: int, window: Sequence[int], groups: int) -> None:
    if min(n_in, n_out, groups, *window) < 1:
        raise ValueError(
            f"n_in = {n_in}, n_out = {n_out}, groups = {groups}, window = {window} must be positive"
        )
    if n_in % groups or n_out % groups:
        raise ValueError(f"groups = {groups} must divide n_in = {n_in} and n_out = {n_out}")


def _shift(y: Float[Array, "n *size c"], bias: nnx.Param | None) -> Float[Array, "n *size c"]:
    if bias is None:
        return y
    return y + bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
