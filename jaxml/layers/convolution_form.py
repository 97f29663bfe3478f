# SPDX-License-Identifier: Apache-2.0
"""Which form of a convolution and of its gradients serves which case on a CPU, with the reasons.

XLA's CPU compiler runs a convolution as a matrix product where its layout is channels-last. Outside
loops it transposes other layouts first; in the body of a loop it does not (jax issue 12868) and
falls back to scalar code, and JAX writes gradients in other layouts. Since a call cannot know where
it will run, every form here is safe in loops. Accelerators keep the native operations.

Times as a fraction of the native operation's outside of a loop: float32, two AVX-512 cores, jax
0.10.2 and 0.12.0. The forms take the same inside a loop; a training step with the native gradients
takes 4 to 60 times as long there.

| case | form | time |
|---|---|---|
| convolution | by window: itself | 1 |
| input gradient, stride 1 | by window: the turned kernel | 1 |
| input gradient, larger stride | by window: one phase a channel, interleaved | 0.3-0.7 |
| kernel gradient | by window: channels as batch, batch as channels | 0.8-1.2 |
| groups, ensembles under `vmap` | by window, a group at a time | 0.15-0.7; kernel gradient 0.01 |
| one channel a group | depthwise: a row of taps, an image at a time | 0.12-0.18 with gradients |
| few channels on one side | narrow: their taps as columns | output 0.4-0.5, gradients 0.2-0.8 |
| one tap | by tap: a matrix product, nothing to gather | |
| float64 | by tap: XLA has no fast convolution for it | 0.2 |

Tried and slower: one matrix product over gathered patches (1.2-6), a product a tap in float32
(1-10), zeros between the elements for a stride (1), grouped products with a batch axis (2).
"""

import math
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from jaxml.layers import (
    convolution_by_tap,
    convolution_by_window,
    convolution_depthwise,
    convolution_narrow,
)
from jaxml.layers.convolution_geometry import Geometry


def form(geometry: Geometry, channels: int, features: int, dtype: Any) -> ModuleType:
    """The module whose `output`, `input` and `kernel` serve a case best.

    Args:
      geometry: sizes, strides, padding, dilation, groups.
      channels: input channels of a group.
      features: output channels of a group.
      dtype: of both operands.

    Returns:
      `convolution_by_tap`, `convolution_by_window`, `convolution_depthwise` or
      `convolution_narrow`.
    """
    if math.prod(geometry.kernel) == 1:
        return convolution_by_tap
    # With more features the products of a group are worth a matrix product.
    if geometry.groups > 1 and channels == 1 and features <= 4:
        return convolution_depthwise
    if dtype == jnp.float64:
        return convolution_by_tap
    few, many = sorted((channels, features))
    # The taps of the narrow side become columns; beyond this, gathering costs more than it saves.
    narrow = 4 * few <= many and math.prod(geometry.kernel) * few <= 4 * many
    if geometry.groups == 1 and dtype == jnp.float32 and narrow:
        return convolution_narrow
    return convolution_by_window
