# SPDX-License-Identifier: Apache-2.0
"""Laws of gated networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn.gated import GatedMLP


def test_the_output_is_the_formula_in_numpy():
    """h = (Wx + b) ⊙ σ(Vx + c) layer by layer, the first half of a product being the value."""
    net = GatedMLP(3, (4, 5), 2, n_context=1, rngs=nnx.Rngs(0))
    for layer in [*net.layers, net.last]:
        layer.bias[...] = jax.random.normal(jax.random.key(layer.bias.size), layer.bias.shape)
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    context = np.random.default_rng(1).normal(size=(7, 1)).astype(np.float32)
    h = np.concatenate([x, context], axis=1)
    for layer, width in zip(net.layers, (4, 5), strict=True):
        both = h @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        h = both[:, :width] / (1 + np.exp(-both[:, width:]))
    expected = h @ np.asarray(net.last.kernel[...]) + np.asarray(net.last.bias[...])
    np.testing.assert_allclose(net(jnp.asarray(x), jnp.asarray(context)), expected, atol=1e-5)


def test_sizes_are_checked():
    """A size below one is named."""
    with pytest.raises(ValueError, match="widths: expected a positive size, got 0"):
        GatedMLP(3, (4, 0), 2, rngs=nnx.Rngs(0))


def test_computation_dtype_leaves_parameters_in_float32():
    """dtype=bfloat16: bfloat16 out of float32 in, float32 parameters and gradients."""
    network = GatedMLP(3, [4], 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = jnp.ones((5, 3))
    assert network(x).dtype == jnp.bfloat16
    gradient = jax.grad(lambda m: jnp.sum(m(x).astype(jnp.float32)))(network)
    assert {leaf.dtype for leaf in jax.tree.leaves((network, gradient))} == {jnp.dtype("float32")}
