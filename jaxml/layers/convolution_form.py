# SPDX-License-Identifier: Apache-2.0
"""Which form of a convolution and of its gradients serves which case on a CPU, with the reasons."""

import math
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from jaxml.layers import convolution_by_tap, convolution_by_window
from jaxml.layers.convolution_geometry import Geometry


def form(geometry: Geometry, depthwise: bool, dtype: Any) -> ModuleType:
    """The module whose `output`, `input` and `kernel` serve a case best.

    | case | form | reason, measured on 2 AVX-512 cores |
    |---|---|---|
    | one tap | by tap | a matrix product and nothing to gather |
    | one channel a group | by tap | 2-4x the native grouped convolution |
    | float64 | by tap | 4-6x: XLA's fast convolution knows single and half precision only |
    | all else | by window | native time outside loops, a tenth to a hundredth of it inside |

    Args:
      geometry: sizes, strides, padding, dilation, groups.
      depthwise: whether every group has one input and one output channel.
      dtype: of both operands.

    Returns:
      `convolution_by_tap` or `convolution_by_window`.
    """
    if math.prod(geometry.kernel) == 1 or depthwise or dtype == jnp.float64:
        return convolution_by_tap
    return convolution_by_window
