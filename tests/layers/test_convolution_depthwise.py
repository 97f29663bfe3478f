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


@pytest.mark.parametrize(("kept", "unrolled"), [(1, 1), (20, 2), (50, 3)])
@pytest.mark.parametrize(
    "geometry",
    ["3x3 stride 2, even and odd", "3x2 stride 2x1, dilation 1x2", "1-D causal, dilation 2"],
    indirect=True,
)
def test_blocks_of_rows(monkeypatch, x64, geometry, kept, unrolled, operands, definition):
    """However the rows are cut, with a rest or without, in several turns an image."""
    monkeypatch.setattr(depthwise, "KEPT", kept)
    monkeypatch.setattr(depthwise, "UNROLLED", unrolled)
    geometry = geometry._replace(groups=4)
    arrays = operands(geometry, channels=1)
    pair = arrays["input"], arrays["output"]
    got = jax.jit(lambda x, y: depthwise.kernel(x, y, geometry, None))(*pair)
    np.testing.assert_allclose(got, definition["kernel"](*pair, geometry), atol=1e-12, rtol=1e-12)


def test_half_precision_is_summed_in_single():
    """256 and eight ones are 264; summed in bfloat16 they would stay at 256."""
    geometry = Geometry((5, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 2)
    x, y = (jnp.ones((1, n, n, 2), jnp.bfloat16) for n in (5, 3))
    filters = jnp.ones((3, 3, 1, 2), jnp.bfloat16)
    first, last = (filters.at[k, k].set(256) for k in (0, 2))

    @jax.jit
    def everything(x, y, large, first, last):
        inputs = [depthwise.input(y, kernel, geometry, None)[:, 2, 2] for kernel in (first, last)]
        kernel = depthwise.kernel(x, large, geometry, None)
        return depthwise.output(x, first, geometry, None), *inputs, kernel

    for got in everything(x, y, y.at[:, 0, 0].set(256), first, last):
        assert got.dtype == jnp.bfloat16
        assert (np.asarray(got, np.float32) == 264).all()
