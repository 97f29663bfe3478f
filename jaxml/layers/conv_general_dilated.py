# SPDX-License-Identifier: Apache-2.0
"""`jax.lax.conv_general_dilated` over again, with derivatives that stay fast inside loops."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxml.layers.convolution import convolution
from jaxml.layers.convolution_geometry import Geometry
from jaxml.layers.convolution_primitive import input_gradient
from jaxml.types import Array


def conv_general_dilated(
    lhs: Float[Array, "..."],
    rhs: Float[Array, "..."],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Float[Array, "..."]:
    """y[n, i] = Σ_k x[n, stride·i + dilation·k − low] K[k], with the arguments of JAX.

    Made for Flax: `nnx.Conv(..., conv_general_dilated=jaxml.layers.conv_general_dilated)`. Layouts
    other than channels-last are transposed on the way in and out. What `convolution` and
    `transposed_convolution` have no words for goes to JAX's own operation, with gradients that are
    slow inside loops on a CPU: a stride together with `lhs_dilation`, batch groups, a dtype other
    than that of both operands, a given sharding.

    Args:
      lhs: data x.
      rhs: kernel K.
      window_strides: step between windows.
      padding: a pair for each axis, or JAX's "SAME", "SAME_LOWER", "VALID".
      lhs_dilation: step between the elements of `x`.
      rhs_dilation: step between the taps of K.
      dimension_numbers: as JAX reads them; "NCHW" and "OIHW" by default.
      feature_group_count: number of blocks of channels.
      batch_group_count: number of blocks of the batch.
      precision: see `jax.lax.Precision`.
      preferred_element_type: dtype of the result.
      out_sharding: sharding of the result.

    Returns:
      y, as JAX returns it.
    """
    ones = (1,) * (lhs.ndim - 2)
    stride, spread = tuple(window_strides), tuple(lhs_dilation or ones)
    dilation = tuple(rhs_dilation or ones)
    one_dtype = lhs.dtype == rhs.dtype and preferred_element_type in (None, lhs.dtype)
    one_step = spread == ones or (stride == ones and not isinstance(padding, str))
    if not (one_dtype and one_step and batch_group_count == 1 and out_sharding is None):
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            dimension_numbers,
            feature_group_count,
            batch_group_count,
            precision,
            preferred_element_type,
            out_sharding,
        )
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    (n, c, *size), (o, i, *window), out = numbers
    x = jnp.transpose(lhs, (n, *size, c))
    kernel = jnp.transpose(rhs, (*window, i, o))
    if isinstance(padding, str):
        extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[:-2], strict=True)]
        padding = lax.padtype_to_pads(x.shape[1:-1], extent, stride, padding)
    if spread == ones:
        y = convolution(
            x,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=feature_group_count,
            precision=precision,
        )
    else:
        y = _convolution_of_spread(
            x, kernel, spread, padding, dilation, feature_group_count, precision
        )
    # The inverse of (batch, channel, *space) -> the order asked for, from (batch, *space, channel).
    first, second, *rest = out
    order = sorted(range(y.ndim), key=(first, *rest, second).__getitem__)
    return jnp.transpose(y, order)


def _convolution_of_spread(x, kernel, spread, padding, dilation, groups, precision):
    """A convolution of `x` spread by a step is the transposed convolution of the turned kernel."""
    window = kernel.shape[:-2]
    reach = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
    geometry = Geometry(
        input=tuple(
            s * (m - 1) + 1 + low + high - e
            for s, m, (low, high), e in zip(spread, x.shape[1:-1], padding, reach, strict=True)
        ),
        kernel=window,
        stride=spread,
        padding=tuple((e - low, e - high) for e, (low, high) in zip(reach, padding, strict=True)),
        dilation=dilation,
        groups=groups,
    )
    blocks = kernel.reshape(*kernel.shape[:-1], groups, -1).swapaxes(-1, -3)
    turned = jnp.flip(blocks, range(len(window))).reshape(*window, -1, x.shape[-1])
    return input_gradient(x, turned, geometry, precision)
