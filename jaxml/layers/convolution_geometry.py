# SPDX-License-Identifier: Apache-2.0
"""Where a convolution reads and writes: sizes, strides, padding and dilation as static numbers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Sizes = tuple[int, ...]
"""One whole number for each spatial axis."""

Margins = tuple[tuple[int, int], ...]
"""Zeros before and after each spatial axis; a negative number crops."""

Fit = Callable[[Sizes, Sizes, Sizes], Margins]
"""Margins that follow from `(size, extent of the kernel, stride)`: `valid`, `same`, `causal`."""

Padding = int | Sequence[int | Sequence[int]] | Fit
"""A number for all sides; a number or a pair (before, after) for each axis; a function."""


class Geometry(NamedTuple):
    """The static half of a convolution, `y[i] = sum_k x[stride i + dilation k - low] K[k]`.

    Attributes:
      input: spatial sizes of `x`.
      kernel: spatial sizes of `K`.
      stride: step between neighbouring windows.
      padding: zeros before (`low`) and after the input.
      dilation: step between neighbouring taps of the kernel.
      groups: number of blocks into which the channels fall.
    """

    input: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Margins
    dilation: Sizes
    groups: int

    @property
    def output(self) -> Sizes:
        """Spatial sizes of `y`."""
        return tuple(
            convolution_size(n, k, stride=s, padding=p, dilation=d)
            for n, k, s, p, d in zip(
                self.input, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )


def convolution_size(
    size: int, kernel: int, *, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1
) -> int:
    """Number of windows `floor((n + low + high - d (k - 1) - 1) / s) + 1` along one axis.

    Args:
      size: length `n` of the input.
      kernel: number of taps `k`.
      stride: step `s` between windows.
      padding: zeros before and after, a side each (not their total).
      dilation: step `d` between taps.

    Returns:
      The length of the output; below 1 when the kernel does not fit.
    """
    low, high = padding
    return (size + low + high - dilation * (kernel - 1) - 1) // stride + 1


def transposed_convolution_size(
    size: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Length `s (n - 1) + d (k - 1) + 1 - low - high + output_padding` along one axis.

    A strided convolution gives the same length to `s` different inputs; `output_padding < s` says
    which of them the transposed convolution returns to.

    Args:
      size: length `n` of the input.
      kernel: number of taps `k`.
      stride: step `s` between the places where neighbouring inputs write.
      padding: what the output loses before and after.
      output_padding: what the output gains at its end.
      dilation: step `d` between taps.

    Returns:
      The length of the output.
    """
    return stride * (size - 1) + dilation * (kernel - 1) + 1 - sum(padding) + output_padding


def per_axis(name: str, value: int | Sequence[int], n_axes: int, *, least: int) -> Sizes:
    """One number for each axis, from one number or from a sequence of them.

    Args:
      name: what an error calls it.
      value: the number or numbers.
      n_axes: number of spatial axes.
      least: the smallest number allowed.

    Raises:
      ValueError: for a wrong count, or a number below `least`.
    """
    sizes = (value,) * n_axes if isinstance(value, int) else tuple(value)
    if len(sizes) != n_axes or min(sizes, default=least) < least:
        raise ValueError(
            f"{name} must be one number or {n_axes} numbers, each at least {least}; got {value!r}"
        )
    return sizes


def sides(padding: Padding, n_axes: int) -> Margins | Fit:
    """One pair for each axis, from any way to write a padding; functions pass through.

    Args:
      padding: see `Padding`.
      n_axes: number of spatial axes.

    Raises:
      ValueError: if `padding` does not have one entry for each axis.
    """
    if callable(padding):
        return padding
    each = (padding,) * n_axes if isinstance(padding, int) else tuple(padding)
    pairs = [(side, side) if isinstance(side, int) else tuple(side) for side in each]
    if len(pairs) != n_axes or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            "padding must be a number, or a number or a pair (before, after) for each of "
            f"{n_axes} spatial axes, or a function; got {padding!r}"
        )
    return tuple((low, high) for low, high in pairs)


def margins(
    padding: Padding, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Margins:
    """The zeros before and after each axis of an input of `size`.

    Args:
      padding: see `Padding`.
      size: spatial sizes of the input.
      kernel: taps along each axis.
      stride: step between windows.
      dilation: step between taps.

    Raises:
      ValueError: if `padding` does not have one entry for each axis.
    """
    pairs = sides(padding, len(size))
    if not callable(pairs):
        return pairs
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    return pairs(size, extent, stride)


def valid(size: Sizes, extent: Sizes, stride: Sizes) -> Margins:
    """No zeros: every window lies inside the input."""
    return ((0, 0),) * len(size)


def same(size: Sizes, extent: Sizes, stride: Sizes) -> Margins:
    """Zeros for `ceil(n / stride)` windows; the odd one goes behind, as in TensorFlow and XLA."""
    total = tuple(
        max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(size, extent, stride, strict=True)
    )
    return tuple((t // 2, t - t // 2) for t in total)


def causal(size: Sizes, extent: Sizes, stride: Sizes) -> Margins:
    """All zeros in front: a window ends at its own position and sees nothing later."""
    return tuple((e - 1, 0) for e in extent)
