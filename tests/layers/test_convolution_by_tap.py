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


def test_is_the_definition(x64, geometry, operands, definition):
    """Output, input gradient and kernel gradient equal the loop over all that meets, to 1e-12."""
    arrays = operands(geometry)
    got = jax.jit(lambda arrays: evaluate(arrays, geometry))(arrays)
    for role, names in ROLES.items():
        truth = definition[role](*(arrays[name] for name in names), geometry)
        np.testing.assert_allclose(got[role], truth, atol=1e-12, rtol=1e-12, err_msg=role)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (1, 4), (2, 2)])
def test_half_precision_is_summed_in_single(channels, groups):
    """A sum of 2304 ones is 2304; summed in bfloat16 it would stop at 256."""
    geometry = Geometry((48, 48), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), groups)
    ones = jnp.ones((1, 48, 48, channels * groups), jnp.bfloat16)
    gradient = by_tap.kernel(ones, ones, geometry, None)
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_array_equal(gradient.astype(jnp.float32), 2304)
