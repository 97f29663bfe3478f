# SPDX-License-Identifier: Apache-2.0
"""Vector fields against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import VectorField

RNG = np.random.default_rng(0)


def disturbed(field):
    return jax.tree.map(lambda a: a + RNG.normal(size=a.shape).astype(a.dtype), field)


def test_a_field_is_alternating_gated_maps_and_activations(x64):
    """h ← a((W h + b) / (1 + e^{−(V c + d)}) + U c) with c = (t, context), the last without a."""
    field = disturbed(VectorField(3, (5, 4), n_context=2, rngs=nnx.Rngs(0)))
    field = jax.tree.map(lambda a: a.astype(float), field)
    x, context, t = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2)), 0.7
    condition, h = np.concatenate([np.full((6, 1), t), context], axis=1), x
    for i, layer in enumerate([*field.layers, field.last]):
        w, b, v, d, u = (
            np.asarray(a)
            for a in (
                layer.linear.kernel[...],
                layer.linear.bias[...],
                layer.gate.kernel[...],
                layer.gate.bias[...],
                layer.offset.kernel[...],
            )
        )
        h = (h @ w + b) / (1 + np.exp(-(condition @ v + d))) + condition @ u
        h = np.tanh(h) if i < 2 else h
    call = jax.jit(lambda t, x, context: field(t, x, context))
    np.testing.assert_allclose(call(jnp.asarray(t), x, context), h, rtol=1e-12)
    np.testing.assert_allclose(call(jnp.asarray(t), x[0], context[0]), h[0], rtol=1e-12)


def test_a_field_begins_at_zero_and_can_leave_it():
    """f = 0 everywhere at first, and its last layer has gradients."""
    field, x, t = VectorField(2, (4,), rngs=nnx.Rngs(0)), jnp.ones((3, 2)), jnp.float32(0.5)
    np.testing.assert_array_equal(field(t, x), np.zeros((3, 2)))
    slope = jax.grad(lambda field: field(t, x).sum())(field)
    assert np.abs(slope.last.linear.kernel[...]).max() > 0.01
    assert np.abs(slope.last.offset.kernel[...]).max() > 0.01
    line = disturbed(VectorField(2, (), rngs=nnx.Rngs(0)))
    np.testing.assert_allclose(line(t, 2 * x) + line(t, 0 * x), 2 * line(t, x), rtol=1e-5)


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside leaves parameters in float32; float32 comes out of float32."""
    x, t = jnp.ones((3, 2)), jnp.float32(0.5)
    for dtype, expected in ((None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)):
        field = VectorField(2, (4,), dtype=dtype, rngs=nnx.Rngs(0))
        assert field(t, x).dtype == expected
        assert {leaf.dtype for leaf in jax.tree.leaves(field)} == {jnp.dtype(jnp.float32)}


def test_sizes_and_contexts_are_checked():
    for n, widths, n_context, message in (
        (0, (4,), 0, "n: expected a positive size, got 0"),
        (2, (4, 0), 0, "widths: expected a positive size, got 0"),
        (2, (4,), -1, "n_context: expected at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            VectorField(n, widths, n_context=n_context, rngs=nnx.Rngs(0))
    x, t = jnp.ones((3, 2)), jnp.float32(0.5)
    with pytest.raises(ValueError, match="context: expected 0 features, got 1"):
        VectorField(2, (4,), rngs=nnx.Rngs(0))(t, x, jnp.ones((3, 1)))
    with pytest.raises(ValueError, match="context: expected 2 features, got 0"):
        VectorField(2, (4,), n_context=2, rngs=nnx.Rngs(0))(t, x)
