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
def test_channels_last_convolution(role, geometry, operands):
    """XLA sees one convolution a group, in the layout that its CPU compiler makes a product of."""
    arrays = operands(geometry, dtype=np.float32)
    first, second = (arrays[name] for name in ROLES[role])
    text = jax.jit(lambda a, b: evaluate(role, a, b, geometry)).lower(first, second).as_text()
    numbers = re.findall(r"dim_numbers = (\S.*?), window", text)
    assert len(numbers) == geometry.groups
    space = ", ".join(map(str, range(len(geometry.input))))
    assert set(numbers) == {f"[b, {space}, f]x[{space}, i, o]->[b, {space}, f]"}


@pytest.mark.parametrize("role", ROLES)
def test_many_groups_run_in_a_loop(x64, role, operands, definition, monkeypatch):
    """Groups written out and groups in a loop give the same numbers."""
    monkeypatch.setattr(by_window, "_WRITTEN_OUT", 2)
    geometry = Geometry((6, 5), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), 3)
    arrays = [operands(geometry)[name] for name in ROLES[role]]
    f = jax.jit(lambda a, b: evaluate(role, a, b, geometry))
    assert "stablehlo.while" in f.lower(*arrays).as_text()
    np.testing.assert_allclose(f(*arrays), definition[role](*arrays, geometry), atol=1e-12)


def test_subpixel_multiplies_no_zeros_of_the_stride():
    """A strided input gradient does not spread its operand: no work on zeros put between."""
    geometry = Geometry((28, 28), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1)
    y, kernel = jnp.ones((1, 14, 14, 8)), jnp.ones((4, 4, 2, 8))
    lowered = jax.jit(lambda y, k: by_window.input(y, k, geometry, None)).lower(y, kernel)
    assert "lhs_dilate = [2" not in lowered.as_text()
    # 15 x 15 windows of 2 x 2 taps, 8 channels to 4 phases of 2: two operations each, some margin.
    assert lowered.compile().cost_analysis()["flops"] < 1.1 * 2 * 15 * 15 * 4 * 8 * 8
