# SPDX-License-Identifier: Apache-2.0
"""Few channels on one side: their taps as the columns of one product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import convolution_narrow as narrow
from jaxml.layers.convolution_geometry import Geometry

ROLES = {
    "output": ("input", "kernel"),
    "input": ("output", "kernel"),
    "kernel": ("input", "output"),
}
GEOMETRIES = {
    "3x3": Geometry((7, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "4x4 stride 2": Geometry((8, 6), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "3x2 dilation 1x2, uneven margins": Geometry(
        (6, 7), (3, 2), (1, 1), ((2, 0), (1, 2)), (1, 2), 1
    ),
    "cropped": Geometry((8, 7), (3, 3), (1, 1), ((-1, 0), (0, -2)), (1, 1), 1),
    "1-D stride 3": Geometry((10,), (4,), (3,), ((1, 2),), (1,), 1),
}


@pytest.mark.parametrize(("channels", "features"), [(1, 40), (2, 8), (40, 1), (8, 2)])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_is_the_definition(geometry, channels, features, x64, definition):
    """Output, input gradient and kernel gradient equal the loop over all that meets, to 1e-12."""
    rng = np.random.default_rng(0)
    arrays = {
        "input": jnp.asarray(rng.normal(size=(2, *geometry.input, channels))),
        "output": jnp.asarray(rng.normal(size=(2, *geometry.output, features))),
        "kernel": jnp.asarray(rng.normal(size=(*geometry.kernel, channels, features))),
    }
    got = jax.jit(
        lambda arrays: {
            role: getattr(narrow, role)(*(arrays[name] for name in names), geometry, None)
            for role, names in ROLES.items()
        }
    )(arrays)
    for role, names in ROLES.items():
        truth = definition[role](*(arrays[name] for name in names), geometry)
        np.testing.assert_allclose(got[role], truth, atol=1e-12, rtol=1e-12, err_msg=role)


@pytest.mark.parametrize(("channels", "features"), [(2, 32), (32, 2)])
def test_gradients_are_single_products(channels, features):
    """One product each and no convolution, but for the wide side that is left to XLA."""
    geometry = Geometry((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    x, y = jnp.ones((2, 8, 8, channels)), jnp.ones((2, 8, 8, features))
    kernel = jnp.ones((3, 3, channels, features))

    def counts(role, a, b):
        function = getattr(narrow, role)
        text = jax.jit(lambda a, b: function(a, b, geometry, None)).lower(a, b).as_text()
        return text.count("stablehlo.dot_general"), text.count("stablehlo.convolution")

    assert counts("kernel", x, y) == (1, 0)
    assert counts("output", x, kernel) == ((0, 1) if channels < features else (1, 0))
    assert counts("input", y, kernel) == ((1, 0) if channels < features else (0, 1))
