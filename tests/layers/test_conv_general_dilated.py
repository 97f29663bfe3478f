# SPDX-License-Identifier: Apache-2.0
"""Drop-in for JAX's own convolution: same arguments, same numbers, other gradients inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxml.layers import conv_general_dilated

CASES = {
    "defaults": ((2, 3, 7, 6), (4, 3, 3, 2), {"window_strides": (1, 1), "padding": "VALID"}),
    "same": ((2, 3, 7, 6), (4, 3, 3, 2), {"window_strides": (2, 2), "padding": "SAME"}),
    "same low": ((2, 3, 7, 6), (4, 3, 2, 2), {"window_strides": (1, 2), "padding": "SAME_LOWER"}),
    "transposed": (
        (2, 5, 4, 3),
        (4, 3, 3, 5),
        {
            "window_strides": (1, 1),
            "padding": ((2, 1), (1, 2)),
            "lhs_dilation": (2, 3),
            "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        },
    ),
    "transposed, groups": (
        (2, 5, 4, 4),
        (2, 3, 2, 6),
        {
            "window_strides": (1, 1),
            "padding": ((0, 1), (3, 0)),
            "lhs_dilation": (1, 2),
            "rhs_dilation": (2, 1),
            "feature_group_count": 2,
            "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        },
    ),
    "odd layout": (
        (5, 2, 4, 4),
        (3, 2, 6, 2),
        {
            "window_strides": (2, 1),
            "padding": ((1, 1), (0, 1)),
            "rhs_dilation": (1, 2),
            "feature_group_count": 2,
            "dimension_numbers": ("HNWC", "HIOW", "WCHN"),
        },
    ),
    "both strides": (
        (2, 3, 7, 6),
        (4, 3, 3, 2),
        {"window_strides": (2, 2), "padding": ((0, 0), (1, 2)), "lhs_dilation": (2, 2)},
    ),
    "batch groups": (
        (4, 3, 7, 6),
        (4, 3, 3, 2),
        {"window_strides": (1, 1), "padding": "VALID", "batch_group_count": 2},
    ),
    "wider result": (
        (2, 3, 7, 6),
        (4, 3, 3, 2),
        {
            "window_strides": (1, 1),
            "padding": "VALID",
            "preferred_element_type": jnp.float64,
        },
    ),
}


@pytest.mark.parametrize(("lhs", "rhs", "arguments"), CASES.values(), ids=CASES.keys())
def test_is_the_convolution_of_jax(x64, lhs, rhs, arguments):
    """Value and gradient equal those of `jax.lax.conv_general_dilated`."""
    rng = np.random.default_rng(0)
    dtype = jnp.float32 if "preferred_element_type" in arguments else jnp.float64
    x, kernel = (jnp.asarray(rng.normal(size=shape), dtype) for shape in (lhs, rhs))

    def both(x, kernel):
        def loss(f):
            return lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel, **arguments)))

        return [
            (f(x, kernel, **arguments), jax.grad(loss(f), (0, 1))(x, kernel))
            for f in (conv_general_dilated, lax.conv_general_dilated)
        ]

    ours, theirs = jax.jit(both)(x, kernel)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, theirs
    )


def test_inside_a_flax_module(x64):
    """Flax's own layer with this function equals the layer without."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 3)), jnp.float32)
    options = {}, {"conv_general_dilated": conv_general_dilated}
    layers = jax.jit(
        lambda: [nnx.Conv(3, 4, (3, 3), strides=2, rngs=nnx.Rngs(0), **given) for given in options]
    )()
    gradient = jax.jit(jax.value_and_grad(lambda layer: jnp.sum(jnp.sin(layer(x)))))
    plain, ours = map(gradient, layers)
    np.testing.assert_allclose(plain[0], ours[0], rtol=1e-5)
    for name in ("kernel", "bias"):
        a, b = (getattr(gradient, name)[...] for _, gradient in (plain, ours))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
