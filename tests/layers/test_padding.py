# SPDX-License-Identifier: Apache-2.0
"""What each padding puts around [a, b, c]."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import padding

ROW = jnp.arange(3.0).reshape(1, 3, 1)
AROUND = {
    "reflect": (padding.reflect, [2, 1, 0, 1, 2, 1, 0]),
    "symmetric": (padding.symmetric, [1, 0, 0, 1, 2, 2, 1]),
    "edge": (padding.edge, [0, 0, 0, 1, 2, 2, 2]),
    "circular": (padding.circular, [1, 2, 0, 1, 2, 0, 1]),
}


@pytest.mark.parametrize("name", AROUND)
def test_each_padding_repeats_what_its_name_says(name):
    """Reflect does not repeat the edge: [a, b, c, c, b, a], printed for it, is symmetric."""
    function, expected = AROUND[name]
    np.testing.assert_array_equal(function(ROW, ((2, 2),)).ravel(), expected)
    image = jnp.arange(12.0).reshape(1, 3, 4, 1)
    modes = {"circular": "wrap"}
    wanted = np.pad(image, [(0, 0), (2, 1), (0, 3), (0, 0)], mode=modes.get(name, name))
    np.testing.assert_array_equal(function(image, ((2, 1), (0, 3))), wanted)


def test_the_printed_reflection_is_another_padding():
    printed = [0, 1, 2, 2, 1, 0]
    np.testing.assert_array_equal(padding.symmetric(ROW, ((0, 3),)).ravel(), printed)
    np.testing.assert_array_equal(padding.reflect(ROW, ((0, 2),)).ravel(), [0, 1, 2, 1, 0])


def test_margins_beyond_the_image_are_refused():
    for function, reach in [(padding.reflect, 3), (padding.symmetric, 4), (padding.circular, 4)]:
        with pytest.raises(ValueError, match=r"sides: .* reaches beyond an axis of length 3"):
            function(ROW, ((reach, 0),))
    with pytest.raises(ValueError, match="sides: expected a pair for each of 1 axes"):
        padding.edge(ROW, ((1, 1), (1, 1)))
