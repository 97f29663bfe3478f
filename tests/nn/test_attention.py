# SPDX-License-Identifier: Apache-2.0
"""Self-attention against NumPy, head by head, and what it may see."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import SelfAttention

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "turned": {"causal": True, "rotary": True, "normalize_qk": True},
    "grouped": {"causal": True, "rotary": True, "n_kv_heads": 2},
    "one for all": {"n_kv_heads": 1, "normalize_qk": True},
}


def build(width=16, n_heads=4, **options):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: SelfAttention(width, n_heads, **options, rngs=nnx.Rngs(0)))
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape)), shapes)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def turned(x):
    """Pairs (k, k + d/2) as complex numbers, times e^{i m θ}."""
    t, d = x.shape
    pair = x[:, : d // 2] + 1j * x[:, d // 2 :]
    theta = 10_000.0 ** (-2 * np.arange(d // 2) / d)
    pair = pair * np.exp(1j * np.arange(t)[:, None] * theta)
    return np.concatenate([pair.real, pair.imag], axis=1)


def by_hand(module, x):
    """One sequence `t width`, with an explicit softmax for every head and query."""
    w, b, out, bias = (
        np.asarray(a[...])
        for a in (module.qkv.kernel, module.qkv.bias, module.out.kernel, module.out.bias)
    )
    t, width = x.shape
    d = width // module.n_heads
    n_kv = (w.shape[1] - width) // (2 * d)
    q, k, v = np.split(x @ w + b, (width, width + n_kv * d), axis=1)
    heads = []
    for h in range(module.n_heads):
        shared = h * n_kv // module.n_heads
        own, theirs = slice(h * d, (h + 1) * d), slice(shared * d, (shared + 1) * d)
        parts = [q[:, own], k[:, theirs]]
        for i, norm in enumerate(module.norms):
            rms = np.sqrt((parts[i] ** 2).mean(1, keepdims=True) + 1e-6)
            parts[i] = parts[i] / rms * np.asarray(norm.scale[...])
        queries, keys = (turned(a) if module.rotary else a for a in parts)
        o = np.zeros((t, d))
        for i in range(t):
            seen = slice(0, i + 1 if module.causal else t)
            weight = np.exp(keys[seen] @ queries[i] / np.sqrt(d))
            o[i] = weight / weight.sum() @ v[seen, theirs]
        heads.append(o)
    return np.concatenate(heads, axis=1) @ out + bias


@pytest.mark.parametrize("name", OPTIONS)
def test_every_head_is_a_softmax_of_its_own(name, x64):
    """softmax(q kᵀ/√d) v from the parameters, in NumPy."""
    module, x = build(**OPTIONS[name]), draw(2, 5, 16)
    got = jax.jit(module.__call__)(x)
    for i in range(2):
        np.testing.assert_allclose(got[i], by_hand(module, np.asarray(x[i])), rtol=1e-12)


def test_without_positions_there_is_no_order(x64):
    """attention(P x) = P attention(x), until causality or rotation give positions a meaning."""
    x, order = draw(2, 5, 16), np.array([3, 0, 4, 1, 2])
    for options, equivariant in (({}, True), ({"causal": True}, False), ({"rotary": True}, False)):
        run = jax.jit(build(**options).__call__)
        gap = np.abs(run(x[:, order]) - run(x)[:, order]).max()
        assert (gap < 1e-12) if equivariant else (gap > 1e-2)


def test_causal_attention_sees_nothing_that_comes_later(x64):
    """∂y_i/∂x_j is 0 exactly where j > i, and nowhere if attention is not causal."""
    x = draw(5, 16)
    for causal in (True, False):
        jacobian = jax.jit(jax.jacobian(build(causal=causal).__call__))(x)
        seen = np.abs(jacobian).sum((1, 3)) > 0
        np.testing.assert_array_equal(seen, np.tri(5) > 0 if causal else np.ones((5, 5)) > 0)


@pytest.mark.parametrize("name", ["causal", "turned", "grouped"])
def test_a_sequence_that_grows_gives_the_same(name, x64):
    """Element by element inside a scan, and three at once behind two, as all at once."""
    module, x = build(**OPTIONS[name]), draw(2, 5, 16)
    whole = jax.jit(module.__call__)(x)

    @jax.jit
    def one_by_one(x):
        def step(cache, element):
            y, cache = module.extend(element[:, None], cache)
            return cache, y[:, 0]

        elements = jnp.moveaxis(x, 1, 0)
        return jnp.moveaxis(jax.lax.scan(step, empty(), elements)[1], 0, 1)

    def empty():
        return jax.tree.map(lambda a: a.astype(float) if a.ndim else a, module.empty_cache((2,), 5))

    np.testing.assert_allclose(one_by_one(x), whole, rtol=1e-12)
    first, cache = jax.jit(module.extend)(x[:, :2], empty())
    rest, cache = jax.jit(module.extend)(x[:, 2:], cache)
    np.testing.assert_allclose(jnp.concatenate([first, rest], axis=1), whole, rtol=1e-12)
    assert cache.length == 5
    assert cache.k.shape == (2, OPTIONS[name].get("n_kv_heads", 4), 5, 4)


def test_normalized_queries_and_keys_forget_their_lengths(x64):
    """Without biases, weights depend on directions alone: attention(1000 x) = 1000 attention(x)."""
    for normalized in (True, False):
        module = build(normalize_qk=normalized)
        module.qkv.bias[...], module.out.bias[...] = jnp.zeros(48), jnp.zeros(16)
        run, x = jax.jit(module.__call__), draw(2, 5, 16)
        gap = np.abs(run(1000 * x) / 1000 - run(x)).max()
        assert (gap < 1e-4) if normalized else (gap > 0.1)


def test_a_branch_can_begin_as_nothing():
    zeros, x = nnx.initializers.zeros_init(), jnp.ones((2, 3, 8))
    run = jax.jit(lambda x: SelfAttention(8, 2, out_init=zeros, rngs=nnx.Rngs(0))(x))
    np.testing.assert_array_equal(run(x), np.zeros((2, 3, 8)))


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside, also in the cache, leaves parameters in float32."""
    x, options = jnp.ones((2, 3, 8)), OPTIONS["turned"]
    for dtype, expected in ((None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)):

        def run(dtype=dtype):
            module = SelfAttention(8, 2, **options, dtype=dtype, rngs=nnx.Rngs(0))
            y, cache = module.extend(x, module.empty_cache((2,), 4))
            return module, (module(x), y, cache.k)

        module, made = jax.eval_shape(run)
        assert {a.dtype for a in made} == {jnp.dtype(expected)}
        assert {leaf.dtype for leaf in jax.tree.leaves(module)} == {jnp.dtype(jnp.float32)}


def test_what_does_not_fit_is_refused():
    for sizes, options, message in (
        ((8, 3), {}, "n_heads: expected a divisor of width = 8, got 3"),
        ((8, 0), {}, "n_heads: expected a divisor of width = 8, got 0"),
        ((6, 2), {"rotary": True}, "rotary: expected an even number of features a head, got 3"),
        ((8, 4), {"n_kv_heads": 3}, "n_kv_heads: expected a divisor of n_heads = 4, got 3"),
        ((8, 4), {"n_kv_heads": 0}, "n_kv_heads: expected a divisor of n_heads = 4, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            SelfAttention(*sizes, **options, rngs=nnx.Rngs(0))
    module = SelfAttention(8, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="causal: a cache serves causal attention only"):
        module.extend(jnp.ones((1, 1, 8)), module.empty_cache((1,), 3))
