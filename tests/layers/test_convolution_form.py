# SPDX-License-Identifier: Apache-2.0
"""The table of forms: each of its rows is what a call gets."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxml.layers import (
    convolution,
    convolution_by_tap,
    convolution_by_window,
    convolution_depthwise,
    convolution_narrow,
)
from jaxml.layers.convolution_form import form
from jaxml.layers.convolution_geometry import Geometry


def geometry(window, groups=1):
    return Geometry((8, 8), window, (1, 1), ((0, 0), (0, 0)), (1, 1), groups)


@pytest.mark.parametrize(
    ("window", "groups", "channels", "features", "dtype", "chosen"),
    [
        ((3, 3), 1, 8, 8, jnp.float32, convolution_by_window),
        ((3, 3), 1, 1, 1, jnp.float32, convolution_by_window),
        ((3, 3), 4, 2, 2, jnp.bfloat16, convolution_by_window),
        ((3, 3), 4, 1, 1, jnp.float32, convolution_depthwise),
        ((3, 3), 4, 1, 4, jnp.float64, convolution_depthwise),
        ((3, 3), 4, 1, 5, jnp.float32, convolution_by_window),
        ((3, 3), 1, 2, 8, jnp.float32, convolution_narrow),
        ((3, 3), 1, 8, 2, jnp.float32, convolution_narrow),
        ((3, 3), 1, 3, 8, jnp.float32, convolution_by_window),
        ((5, 5), 1, 2, 8, jnp.float32, convolution_by_window),
        ((3, 3), 1, 2, 8, jnp.bfloat16, convolution_by_window),
        ((3, 3), 2, 2, 8, jnp.float32, convolution_by_window),
        ((3, 3), 1, 2, 8, jnp.float64, convolution_by_tap),
        ((1, 1), 1, 8, 8, jnp.float32, convolution_by_tap),
        ((3, 3), 1, 8, 8, jnp.float64, convolution_by_tap),
    ],
)
def test_rows_of_the_table(window, groups, channels, features, dtype, chosen):
    """The form is a function of the geometry, the channels of a group and the dtype."""
    assert form(geometry(window, groups), channels, features, dtype) is chosen


def lowered(groups, window, stride=1, n_models=None):
    """A training step in a scan, as XLA receives it."""
    x = jnp.ones((2, 8, 8, 8))
    kernel = jnp.ones((window, window, 8 // groups, 8))

    def loss(kernel, x):
        y = convolution(x, kernel, stride=stride, padding=window // 2, groups=groups)
        return jnp.sum(jnp.sin(y))

    def steps(kernel, x):
        gradient = jax.grad(loss, (0, 1))

        def step(carry, _):
            return jax.tree.map(lambda a, b: a - b, carry, gradient(*carry)), None

        return lax.scan(step, (kernel, x), None, length=3)[0]

    if n_models is None:
        return jax.jit(steps).lower(kernel, x).as_text()
    many = (jnp.stack([a] * n_models) for a in (kernel, x))
    return jax.jit(jax.vmap(steps)).lower(*many).as_text()


def test_pointwise_and_depthwise_hold_no_convolution():
    """A 1x1 convolution is a matrix product, a depthwise one is elementwise."""
    pointwise, depthwise = lowered(1, 1), lowered(8, 3)
    assert "stablehlo.convolution" not in pointwise
    assert "stablehlo.dot_general" in pointwise
    assert "stablehlo.convolution" not in depthwise
    assert "stablehlo.dot_general" not in depthwise


@pytest.mark.parametrize(("groups", "n_models"), [(2, None), (1, 3), (2, 3)])
def test_no_grouped_convolution_reaches_the_cpu(groups, n_models):
    """Groups, and the groups that an ensemble becomes, are plain channels-last convolutions."""
    text = lowered(groups, 3, stride=2, n_models=n_models)
    assert text.count("stablehlo.convolution") == 3 * groups * (n_models or 1)
    assert "feature_group_count = 1 :" in text
    assert text.count("feature_group_count = 1 :") == text.count("stablehlo.convolution")
    assert text.count("[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]") == text.count("feature_group")
    assert "batch_group_count = 1 :" in text
