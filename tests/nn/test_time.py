# SPDX-License-Identifier: Apache-2.0
"""Networks that are told a time, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import TimeEmbedding, TimeMLP

RNG = np.random.default_rng(0)


def disturbed(module, dtype=float):
    """The same with no parameter at 0, where a mistake could hide."""

    def moved(a):
        return a.astype(dtype) + jnp.asarray(0.3 * RNG.normal(size=a.shape), dtype)

    return jax.tree.map(moved, module)


def silu(x):
    return x / (1 + np.exp(-x))


def linear(layer, x):
    bias = 0 if layer.bias is None else np.asarray(layer.bias[...])
    return x @ np.asarray(layer.kernel[...]) + bias


def embedded(module, t, context):
    """The formula, from angles 1000 t · 10000^(−k/(n/2))."""
    k = np.arange(module.n_waves // 2)
    angle = module.fastest * t[:, None] * (10 * module.fastest) ** (-k / len(k))
    h = linear(module.first, np.concatenate([np.sin(angle), np.cos(angle)], axis=1))
    if module.context is not None:
        h = h + linear(module.context, context)
    return linear(module.second, silu(h))


def test_an_embedding_is_two_layers_over_waves_and_the_context(x64):
    """With DDPM's waves by default; no context is a context of zeros."""
    module = disturbed(TimeEmbedding(5, n_waves=8, n_context=3, rngs=nnx.Rngs(0)))
    assert module.fastest == 1000
    t, context = RNG.random(4), RNG.normal(size=(4, 3))
    found = jax.jit(lambda t, c: module(t, c))(t, context)
    np.testing.assert_allclose(found, embedded(module, t, context), rtol=1e-10, atol=1e-12)
    nothing = module(jnp.asarray(t))
    np.testing.assert_allclose(nothing, embedded(module, t, 0 * context), rtol=1e-10, atol=1e-12)


def test_a_timed_network_is_scaled_and_shifted_blocks(x64):
    """h ← h + W₂ a((1 + γ) LN(W₁ h) + β) twice, and a((1 + g) LN(h) + b) W + c at last."""
    module = disturbed(TimeMLP(3, 6, 2, n_out=4, n_context=2, rngs=nnx.Rngs(0)))
    x, t, context = RNG.normal(size=(5, 3)), RNG.random(5), RNG.normal(size=(5, 2))

    def normalized(layer, h):
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
        return h * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])

    e = silu(embedded(module.time, t, context))
    h = linear(module.first, x)
    for i in range(2):
        block = jax.tree.map(lambda a, i=i: a[i], module.blocks)
        scale, shift = np.split(linear(block.modulation, e), 2, axis=1)
        inner = (1 + scale) * normalized(block.norm, linear(block.first, h)) + shift
        h = h + linear(block.second, silu(inner))
    expected = linear(module.last, silu(normalized(module.norm, h)))
    found = jax.jit(lambda x, t, c: module(x, t, c))(x, t, context)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_timed_network_begins_at_zero_and_every_parameter_learns():
    """f = 0 at first; once disturbed, the gradient of every parameter is finite and not 0."""
    new = TimeMLP(3, 8, 2, n_context=2, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.normal(size=(5, 3)), jnp.float32)
    t, context = jnp.asarray(RNG.random(5), jnp.float32), jnp.ones((5, 2))
    np.testing.assert_array_equal(new(x, t, context), 0)
    slope = jax.jit(jax.grad(lambda m: jnp.sum(jnp.square(m(x, t, context)))))
    grads = slope(disturbed(new, jnp.float32))
    for path, grad in jax.tree.leaves_with_path(grads):
        assert jnp.isfinite(grad).all(), path
        assert jnp.abs(grad).max() > 0, path


def test_narrow_computation_keeps_wide_parameters():
    """In bfloat16 the output is that of single precision to its three digits."""
    narrow = disturbed(TimeMLP(3, 8, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)), jnp.float32)
    wide = TimeMLP(3, 8, 2, rngs=nnx.Rngs(0))
    wide = jax.tree.unflatten(jax.tree.structure(wide), jax.tree.leaves(narrow))
    x, t = jnp.asarray(RNG.normal(size=(64, 3)), jnp.float32), jnp.linspace(0.0, 1.0, 64)
    found, expected = narrow(x, t), wide(x, t)
    assert found.dtype == jnp.bfloat16
    assert (
        float(jnp.abs(found.astype(jnp.float32) - expected).max() / jnp.abs(expected).max()) < 0.1
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [("n_out", {"n_out": 0}), ("n_waves", {"n_waves": 3}), ("fastest", {"fastest": 0.0})],
)
def test_bad_sizes_are_refused(name, options):
    with pytest.raises(ValueError, match=name):
        TimeEmbedding(**{"n_out": 4, **options}, rngs=nnx.Rngs(0))


def test_contexts_that_do_not_fit_are_refused():
    t = jnp.zeros(2)
    with pytest.raises(ValueError, match="context: expected 0 features, got 1"):
        TimeEmbedding(4, rngs=nnx.Rngs(0))(t, jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match="context: expected 3 features, got 1"):
        TimeEmbedding(4, n_context=3, rngs=nnx.Rngs(0))(t, jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match="n_blocks"):
        TimeMLP(3, 8, 0, rngs=nnx.Rngs(0))
