# SPDX-License-Identifier: Apache-2.0
"""Laws of gated networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn.gated import GatedMLP

GATES = {
    "GLU": (jax.nn.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    "SwiGLU": (jax.nn.silu, lambda a: a / (1 + np.exp(-a))),
    "ReGLU": (jax.nn.relu, lambda a: np.maximum(a, 0)),
}


@pytest.mark.parametrize("name", GATES)
def test_the_output_is_the_formula_in_numpy(name):
    """h = (Wx + b) ⊙ g(Vx + c) layer by layer, the first half of a product being the value."""
    gate, formula = GATES[name]
    rng = np.random.default_rng(2)
    net = jax.tree.map(
        lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype),
        jax.eval_shape(lambda: GatedMLP(3, (4, 5), 2, n_context=1, gate=gate, rngs=nnx.Rngs(0))),
    )
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    context = np.random.default_rng(1).normal(size=(7, 1)).astype(np.float32)
    h = np.concatenate([x, context], axis=1)
    for layer, width in zip(net.layers, (4, 5), strict=True):
        both = h @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        h = both[:, :width] * formula(both[:, width:])
    expected = h @ np.asarray(net.last.kernel[...]) + np.asarray(net.last.bias[...])
    np.testing.assert_allclose(jax.jit(net.__call__)(x, context), expected, atol=1e-5)


def test_sizes_are_checked():
    """A size below one is named."""
    with pytest.raises(ValueError, match="widths: expected a positive size, got 0"):
        GatedMLP(3, (4, 0), 2, rngs=nnx.Rngs(0))


def test_computation_dtype_leaves_parameters_in_float32():
    """dtype=bfloat16: bfloat16 out of float32 in, float32 parameters and gradients."""

    def everything(x):
        network = GatedMLP(3, [4], 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
        gradient = jax.grad(lambda m: jnp.sum(m(x).astype(jnp.float32)))(network)
        return network(x), (network, gradient)

    y, wide = jax.eval_shape(everything, np.ones((5, 3), np.float32))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(wide)} == {jnp.dtype("float32")}
