# SPDX-License-Identifier: Apache-2.0
"""One channels-last convolution for each of the three contractions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import convolution_by_window as by_window
from jaxml.layers.convolution_geometry import Geometry

ROLES = {
    "output": ("input", "kernel"),
    "input": ("output", "kernel"),
    "kernel": ("input", "output"),
}


def evaluate(role, first, second, geometry):
    return getattr(by_window, role)(first, second, geometry, None)


def test_is_the_definition(x64, geometry, operands, definition):
    """Output, input gradient and kernel gradient equal the loop over all that meets, to 1e-12."""
    arrays = operands(geometry)
    got = jax.jit(
        lambda arrays: {
            role: evaluate(role, *(arrays[name] for name in names), geometry)
            for role, names in ROLES.items()
        }
    )(arrays)
    for role, names in ROLES.items():
        truth = definition[role](*(arrays[name] for name in names), geometry)
        np.testing.assert_allclose(got[role], truth, atol=1e-12, rtol=1e-12, err_msg=role)


@pytest.mark.parametrize("role", ROLES)
def test_one_channels_last_convolution(role, geometry, operands):
    """XLA sees one convolution whose layout its CPU compiler runs as a matrix product in a loop."""
    arrays = operands(geometry, dtype=np.float32)
    first, second = (arrays[name] for name in ROLES[role])
    text = jax.jit(lambda a, b: evaluate(role, a, b, geometry)).lower(first, second).as_text()
    assert text.count("stablehlo.convolution") == 1
    (numbers,) = re.findall(r"dim_numbers = (\S.*?), window", text)
    space = ", ".join(map(str, range(len(geometry.input))))
    assert numbers == f"[b, {space}, f]x[{space}, i, o]->[b, {space}, f]"


def test_subpixel_multiplies_no_zeros_of_the_stride():
    """A strided input gradient does not spread its operand: no work on zeros put between."""
    geometry = Geometry((28, 28), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1)
    y, kernel = jnp.ones((1, 14, 14, 8)), jnp.ones((4, 4, 2, 8))
    lowered = jax.jit(lambda y, k: by_window.input(y, k, geometry, None)).lower(y, kernel)
    assert "lhs_dilate = [2" not in lowered.as_text()
    # 15 x 15 windows of 2 x 2 taps, 8 channels to 4 phases of 2: two operations each, some margin.
    assert lowered.compile().cost_analysis()["flops"] < 1.1 * 2 * 15 * 15 * 4 * 8 * 8
