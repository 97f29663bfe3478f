# SPDX-License-Identifier: Apache-2.0
"""Shifted multiply-adds for each of the three contractions of a depthwise convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import convolution_depthwise as depthwise
from jaxml.layers.convolution_geometry import Geometry

ROLES = {
    "output": ("input", "kernel"),
    "input": ("output", "kernel"),
    "kernel": ("input", "output"),
}


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize(
    "geometry",
    [
        "3x3",
        "3x3 stride 2, even and odd",
        "4x4 stride 2, unread rest",
        "3x2 stride 2x1, dilation 1x2",
        "cropped",
        "1-D causal, dilation 2",
        "3-D stride 2",
    ],
    indirect=True,
)
def test_is_the_definition(x64, geometry, features, operands, definition):
    """With one output channel a group and with several, to 1e-12."""
    geometry = geometry._replace(groups=4)
    arrays = operands(geometry, channels=1, features=features)
    got = jax.jit(
        lambda arrays: {
            role: getattr(depthwise, role)(*(arrays[name] for name in names), geometry, None)
            for role, names in ROLES.items()
        }
    )(arrays)
    for role, names in ROLES.items():
        truth = definition[role](*(arrays[name] for name in names), geometry)
        np.testing.assert_allclose(got[role], truth, atol=1e-12, rtol=1e-12, err_msg=role)


def test_half_precision_is_summed_in_single():
    """Sums of 2304 are 2304, over taps and over positions; in bfloat16 ones would stop at 256."""
    column = Geometry((48, 1), (48, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2)
    x = jnp.full((1, 48, 1, 2), 48, jnp.bfloat16)
    assert (depthwise.output(x, jnp.ones((48, 1, 1, 2), x.dtype), column, None) == 2304).all()
    point = Geometry((48, 48), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2)
    ones = jnp.ones((1, 48, 48, 2), x.dtype)
    gradient = depthwise.kernel(ones, ones, point, None)
    assert (gradient == 2304).all()
    assert gradient.dtype == x.dtype
