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
    network = nn.MLP(3, [5, 4], 2, n_context=2, activation=jnp.tanh, rngs=nnx.Rngs(0))
    network = jax.tree.map(lambda p: p + 0.1, network)
    x, context = jnp.arange(12.0).reshape(4, 3) / 10, jnp.eye(4)[:, :2]
    h = np.concatenate([x, context], axis=-1).astype(np.float64)
    for i, layer in enumerate(network.layers):
        h = h @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64)
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(network(x, context), h, rtol=1e-5)
    np.testing.assert_allclose(network(x[0], context[0]), h[0], rtol=1e-5)


def test_residual_blocks_start_as_the_identity_and_normalize():
    """At first the blocks add nothing; with weights they add W₂ a(W₁ LN(h) + b₁) + b₂."""
    network = nn.ResidualMLP(3, 8, 2, 2, activation=jnp.tanh, rngs=nnx.Rngs(0))
    x = jnp.linspace(-1, 1, 12).reshape(4, 3)
    affine = network.last(jnp.tanh(network.first(x)))
    np.testing.assert_array_equal(network(x), affine)

    block = jax.tree.map(lambda p: p + 0.1, network.blocks[0])
    h = 1000 + np.random.default_rng(0).normal(size=(4, 8))  # a mean that E[h²] − E[h]² cannot take
    normalized = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
    normalized = normalized * 1.1 + 0.1
    inner, outer = (
        tuple(np.asarray(p[...], np.float64) for p in (layer.kernel, layer.bias))
        for layer in (block.first, block.second)
    )
    expected = np.tanh(normalized @ inner[0] + inner[1]) @ outer[0] + outer[1]
    np.testing.assert_allclose(block(jnp.float32(h)) - jnp.float32(h), expected, atol=2e-3)


@pytest.mark.parametrize(
    "build", [lambda **o: nn.MLP(3, [4], 2, **o), lambda **o: nn.ResidualMLP(3, 4, 2, 2, **o)]
)
def test_computation_dtype_leaves_parameters_in_float32(build):
    """dtype=bfloat16: bfloat16 out of float32 in, float32 parameters and gradients."""
    network = build(dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = jnp.ones((5, 3))
    assert network(x).dtype == jnp.bfloat16
    gradient = jax.grad(lambda m: jnp.sum(m(x).astype(jnp.float32)))(network)
    for leaf in jax.tree.leaves((network, gradient)):
        assert leaf.dtype == jnp.float32


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="widths: expected a positive size, got 0"):
        nn.MLP(3, [0], 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="n_blocks: expected a positive size, got 0"):
        nn.ResidualMLP(3, 4, 0, 2, rngs=nnx.Rngs(0))
