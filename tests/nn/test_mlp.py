# SPDX-License-Identifier: Apache-2.0
"""Fully connected networks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml import nn


def test_mlp_is_alternating_affine_maps_and_activations():
    """W₃ tanh(W₂ tanh(W₁ x + b₁) + b₂) + b₃ with the context concatenated to x."""
    x, context = np.float32(np.arange(12).reshape(4, 3) / 10), np.eye(4, 2, dtype=np.float32)

    @jax.jit
    def everything(x, context):
        network = nn.MLP(3, [5, 4], 2, n_context=2, activation=jnp.tanh, rngs=nnx.Rngs(0))
        network = jax.tree.map(lambda p: p + 0.1, network)
        return network, network(x, context), network(x[0], context[0])

    network, many, one = everything(x, context)
    h = np.concatenate([x, context], axis=-1).astype(np.float64)
    for i, layer in enumerate(network.layers):
        h = h @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64)
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(many, h, rtol=1e-5)
    np.testing.assert_allclose(one, h[0], rtol=1e-5)


def test_residual_blocks_start_as_the_identity_and_normalize():
    """At first the blocks add nothing; with weights they add W₂ a(W₁ LN(h) + b₁) + b₂."""
    h = 1000 + np.random.default_rng(0).normal(size=(4, 8))  # a mean that E[h²] − E[h]² cannot take

    @jax.jit
    def everything(x, h):
        network = nn.ResidualMLP(3, 8, 2, 2, activation=jnp.tanh, rngs=nnx.Rngs(0))
        affine = network.last(jnp.tanh(network.first(x)))
        block = jax.tree.map(lambda p: p + 0.1, network.blocks[0])
        return (network(x), affine), block, block(h) - h

    x = np.float32(np.linspace(-1, 1, 12).reshape(4, 3))
    at_first, block, added = everything(x, np.float32(h))
    np.testing.assert_array_equal(*at_first)
    normalized = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
    normalized = normalized * 1.1 + 0.1
    inner, outer = (
        tuple(np.asarray(p[...], np.float64) for p in (layer.kernel, layer.bias))
        for layer in (block.first, block.second)
    )
    expected = np.tanh(normalized @ inner[0] + inner[1]) @ outer[0] + outer[1]
    np.testing.assert_allclose(added, expected, atol=2e-3)


@pytest.mark.parametrize(
    "build", [lambda **o: nn.MLP(3, [4], 2, **o), lambda **o: nn.ResidualMLP(3, 4, 2, 2, **o)]
)
def test_computation_dtype_leaves_parameters_in_float32(build):
    """dtype=bfloat16: bfloat16 out of float32 in, float32 parameters and gradients."""

    def everything(x):
        network = build(dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
        gradient = jax.grad(lambda m: jnp.sum(m(x).astype(jnp.float32)))(network)
        return network(x), (network, gradient)

    y, wide = jax.eval_shape(everything, np.ones((5, 3), np.float32))
    assert y.dtype == jnp.bfloat16
    for leaf in jax.tree.leaves(wide):
        assert leaf.dtype == jnp.float32


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="widths: expected a positive size, got 0"):
        nn.MLP(3, [0], 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="n_blocks: expected a positive size, got 0"):
        nn.ResidualMLP(3, 4, 0, 2, rngs=nnx.Rngs(0))
