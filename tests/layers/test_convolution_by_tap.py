# SPDX-License-Identifier: Apache-2.0
"""One product for each tap of the kernel, for each of the three contractions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import convolution_by_tap as by_tap
from jaxml.layers.convolution_geometry import Geometry

ROLES = {
    "output": ("input", "kernel"),
    "input": ("output", "kernel"),
    "kernel": ("input", "output"),
}


def evaluate(arrays, geometry):
    return {
        role: getattr(by_tap, role)(*(arrays[name] for name in names), geometry, None)
        for role, names in ROLES.items()
    }


@pytest.mark.parametrize(
    "geometry",
    [
        "1x1 stride 2",
        "3x3 stride 2, even and odd",
        "4x4 stride 2, unread rest",
        "5x3 stride 2, groups",
        "2x2 stride 3",
        "3x3 dilation 2, groups",
        "3x2 stride 2x1, dilation 1x2",
        "cropped",
        "1-D causal, dilation 2",
        "3-D stride 2",
    ],
    indirect=True,
)
def test_is_the_definition(x64, geometry, operands, definition):
    """Output, input gradient and kernel gradient equal the loop over all that meets, to 1e-12."""
    arrays = operands(geometry)
    got = jax.jit(lambda arrays: evaluate(arrays, geometry))(arrays)
    for role, names in ROLES.items():
        truth = definition[role](*(arrays[name] for name in names), geometry)
        np.testing.assert_allclose(got[role], truth, atol=1e-12, rtol=1e-12, err_msg=role)


def test_half_precision_is_summed_in_single():
    """256 and eight ones are 264; summed in bfloat16 they would stay at 256."""
    geometry = Geometry((5, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    x, y = (jnp.ones((1, n, n, 1), jnp.bfloat16) for n in (5, 3))
    filters = jnp.ones((3, 3, 1, 1), jnp.bfloat16)
    first, last = (filters.at[k, k].set(256) for k in (0, 2))

    @jax.jit
    def everything(x, y, large, first, last):
        inputs = [by_tap.input(y, kernel, geometry, None)[:, 2, 2] for kernel in (first, last)]
        kernel = by_tap.kernel(x, large, geometry, None)
        return by_tap.output(x, first, geometry, None), *inputs, kernel

    for got in everything(x, y, y.at[:, 0, 0].set(256), first, last):
        assert got.dtype == jnp.bfloat16
        assert (np.asarray(got, np.float32) == 264).all()
