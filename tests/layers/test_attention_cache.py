# SPDX-License-Identifier: Apache-2.0
"""Sampling with a cache is attention without one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.layers import attention, empty_cache, extend_cache


def draw(t=7, heads=4, kv_heads=2, d=3, e=5):
    rng = np.random.default_rng(0)
    shapes = (2, t, heads, d), (2, t, kv_heads, d), (2, t, kv_heads, e)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)


@pytest.mark.parametrize("window", [None, 3])
def test_one_at_a_time_is_all_at_once(x64, window):
    """A scan over elements with a cache equals causal attention of the whole sequence to 1e-12."""
    q, k, v = draw()

    @jax.jit
    def one_at_a_time(q, k, v):
        def step(cache, element):
            q, k, v = (a[:, None] for a in element)
            position, cache = cache.length, extend_cache(cache, k, v)
            o = attention(q, cache.keys, cache.values, causal=True, window=window, offset=position)
            return cache, o[:, 0]

        start = empty_cache((2,), 10, 2, 3, d_value=5, dtype=jnp.float64)
        cache, o = jax.lax.scan(step, start, tuple(jnp.moveaxis(a, 1, 0) for a in (q, k, v)))
        return cache, jnp.moveaxis(o, 0, 1)

    cache, o = one_at_a_time(q, k, v)
    whole = jax.jit(partial(attention, causal=True, window=window))(q, k, v)
    np.testing.assert_allclose(o, whole, atol=1e-12)
    assert cache.length == 7
    np.testing.assert_array_equal(np.asarray(cache.keys)[:, :7], k)
    np.testing.assert_array_equal(np.asarray(cache.values)[:, 7:], 0)


def test_a_prompt_then_one(x64):
    """Several elements at once, then one: the same as all."""

    @jax.jit
    def both(q, k, v):
        empty = empty_cache((2,), 8, 2, 3, d_value=5, dtype=jnp.float64)
        cache = extend_cache(empty, k[:, :6], v[:, :6])
        first = attention(q[:, :6], cache.keys, cache.values, causal=True)
        position, cache = cache.length, extend_cache(cache, k[:, 6:], v[:, 6:])
        last = attention(q[:, 6:], cache.keys, cache.values, causal=True, offset=position)
        return jnp.concatenate([first, last], 1), attention(q, k, v, causal=True)

    np.testing.assert_allclose(*both(*draw()), atol=1e-12)


def test_caches_of_different_lengths_side_by_side(x64):
    """Under vmap every cache has a length of its own."""
    _, k, v = map(np.asarray, draw())
    empty = empty_cache((2,), 8, 2, 3, d_value=5, dtype=jnp.float64)
    extend = jax.jit(extend_cache)
    two = [extend(empty, k[:, :n], v[:, :n]) for n in (2, 5)]
    many = jax.tree.map(lambda *a: jnp.asarray(np.stack(a)), *two)
    new = np.stack([k[:, 5:6], k[:, 6:]]), np.stack([v[:, 5:6], v[:, 6:]])
    together = jax.tree.map(np.asarray, jax.jit(jax.vmap(extend_cache))(many, *new))
    for i in range(2):
        alone = extend(two[i], new[0][i], new[1][i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b), together, alone)


def test_gradients_pass_to_what_was_written(x64):
    """The derivative in new keys and values is one, and none in what they replace."""
    _, k, v = draw()
    cache = empty_cache((2,), 9, 2, 3, d_value=5, dtype=jnp.float64)

    def total(cache_k, k, v):
        after = extend_cache(cache._replace(k=cache_k), k, v)
        return after.k.sum() + after.v.sum()

    old, *new = map(np.asarray, jax.jit(jax.grad(total, (0, 1, 2)))(cache.k, k, v))
    np.testing.assert_array_equal(old[:, :, :7], 0)
    np.testing.assert_array_equal(old[:, :, 7:], 1)
    for gradient in new:
        np.testing.assert_array_equal(gradient, 1)


def test_an_overflow_is_loud():
    """Too many at once is an error; too many in a loop are NaN, and so is the answer."""
    cache = empty_cache((), 3, 1, 2)
    with pytest.raises(ValueError, match="4 elements do not fit into a cache of size 3"):
        extend_cache(cache, jnp.ones((4, 1, 2)), jnp.ones((4, 1, 2)))
    two = jnp.ones((2, 1, 2))
    extend = jax.jit(extend_cache)
    once = extend(cache, two, two)
    full = extend(once, two, two)
    o = jax.jit(partial(attention, causal=True))(two, full.keys, full.values, offset=jnp.int32(2))
    assert np.all(np.isnan(o))
    assert np.all(np.isfinite(once.v))


def test_half_precision():
    """The cache keeps its dtype whatever is written."""
    cache = empty_cache((2,), 3, 1, 2, dtype=jnp.bfloat16)
    new = jnp.full((2, 1, 1, 2), 1.5)
    cache = jax.jit(extend_cache)(cache, new, new)
    assert cache.k.dtype == cache.v.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(cache.keys, np.float32)[:, 0], 1.5)
