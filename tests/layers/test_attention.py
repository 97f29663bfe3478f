# SPDX-License-Identifier: Apache-2.0
"""Attention against a loop over queries, JAX's own, and its two forms against each other."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxml.layers import attention


def by_loop(
    q, k, v, *, causal: Any = False, window=None, offset: Any = 0, mask=None, bias=None, scale=None
):
    """One query, head and example after the other, over the list of keys it sees."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    n, t, heads, d = q.shape
    full = (n, heads, t, k.shape[1])
    mask = np.broadcast_to(True if mask is None else np.asarray(mask), full)
    bias = np.broadcast_to(0.0 if bias is None else np.asarray(bias), full)
    o = np.zeros((n, t, heads, v.shape[-1]))
    for b, i, h in np.ndindex(n, t, heads):
        g = h * k.shape[2] // heads
        position = i + offset
        seen = [
            j
            for j in range(k.shape[1])
            if mask[b, h, i, j]
            and (not causal or j <= position)
            and (window is None or abs(j - position) < window)
        ]
        if seen:
            logits = k[b, seen, g] @ q[b, i, h] * (d**-0.5 if scale is None else scale)
            o[b, i, h] = scipy.special.softmax(logits + bias[b, h, i, seen]) @ v[b, seen, g]
    return o


def draw(t=5, s=7, heads=4, kv_heads=4, d=3, e=2, n=2, dtype: Any = np.float64):
    rng = np.random.default_rng(0)
    shapes = (n, t, heads, d), (n, s, kv_heads, d), (n, s, kv_heads, e)
    return tuple(jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)


def random_mask(shape):
    return jnp.asarray(np.random.default_rng(1).random(shape) < 0.5)


OPTIONS = {
    "all": {},
    "causal": {"causal": True},
    "causal, later queries": {"causal": True, "offset": 2},
    "causal, earlier queries": {"causal": True, "offset": -2},
    "window": {"window": 2},
    "window of one": {"window": 1},
    "causal window": {"causal": True, "window": 3, "offset": 1},
    "window wider than all": {"causal": True, "window": 100},
    "scale": {"scale": 0.3},
}


@pytest.mark.parametrize("kv_heads", [4, 2, 1], ids=["heads", "grouped", "multi-query"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_is_the_definition(x64, options, kv_heads):
    """Equal to the loop over queries to 1e-12."""
    arrays = draw(kv_heads=kv_heads)
    got = jax.jit(partial(attention, **options))(*arrays)
    np.testing.assert_allclose(got, by_loop(*arrays, **options), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 4, 5, 7), (2, 1, 5, 7), (1, 4, 1, 7), (2, 1, 5, 1)])
def test_mask_and_bias(x64, shape):
    """Both broadcast along any axis; queries that see nothing give exactly 0."""
    arrays = draw(kv_heads=2)
    mask = random_mask(shape)
    bias = jnp.asarray(np.random.default_rng(2).normal(size=shape))
    options = {"mask": mask, "bias": bias, "causal": True}
    f = jax.jit(partial(attention, causal=True))
    got = np.asarray(f(*arrays, mask=mask, bias=bias))
    truth = by_loop(*arrays, **options)
    np.testing.assert_allclose(got, truth, atol=1e-12)
    assert np.any(np.all(truth == 0, -1))
    np.testing.assert_array_equal(got[np.all(truth == 0, -1)], 0)


LONG = {
    "causal": (300, 300, {"causal": True}),
    "causal, two blocks": (256, 256, {"causal": True}),
    "one query more than a block": (129, 129, {"causal": True}),
    "causal window": (300, 300, {"causal": True, "window": 40}),
    "window": (260, 300, {"window": 130}),
    "later queries": (200, 333, {"causal": True, "offset": 133}),
    "many earlier queries": (300, 40, {"causal": True, "offset": -150}),
    "keys run out": (300, 60, {"causal": True, "window": 30}),
    "fewer keys": (270, 50, {"causal": True}),
}


@pytest.mark.parametrize("case", LONG.values(), ids=LONG.keys())
def test_long_sequences(x64, case):
    """Blocks, with all their cuts, equal the definition to 1e-12."""
    t, s, options = case
    arrays = draw(t, s, heads=2, kv_heads=1, n=1)
    got = jax.jit(partial(attention, **options))(*arrays)
    np.testing.assert_allclose(got, by_loop(*arrays, **options), atol=1e-12)


def test_long_sequences_with_mask_and_bias(x64):
    """Tables are cut with the blocks, broadcast or not."""
    arrays = draw(270, 290, heads=2, n=1)[:1] + draw(270, 290, heads=2, kv_heads=2, n=1)[1:]
    bias = jnp.asarray(np.cos(np.arange(290.0))[None, None, None])
    for shape in ((1, 2, 270, 290), (1, 1, 1, 290), (1, 2, 270, 1)):
        options = {"mask": random_mask(shape), "bias": bias}
        got = jax.jit(partial(attention, causal=True))(*arrays, **options)
        truth = by_loop(*arrays, causal=True, **options)
        np.testing.assert_allclose(got, truth, atol=1e-12)


@pytest.mark.parametrize("options", [{"causal": True}, {"causal": True, "window": 3}, {}])
def test_jax(options):
    """`jax.nn.dot_product_attention` in value and gradients, in single precision."""
    arrays = draw(7, 7, kv_heads=2, e=3, dtype=np.float32)
    window = options.get("window")

    def theirs(q, k, v):
        return jax.nn.dot_product_attention(
            q,
            k,
            v,
            is_causal="causal" in options,
            local_window_size=None if window is None else (window - 1, 0),
        )

    def both(f):
        return jax.jit(jax.value_and_grad(lambda *a: jnp.sum(jnp.sin(3 * f(*a))), (0, 1, 2)))

    ours = both(partial(attention, **options))(*arrays)
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5), ours, both(theirs)(*arrays)
    )


def test_derivatives_of_blocks(x64):
    """First and second derivatives by block equal those all at once, here under a traced offset."""
    arrays = draw(140, 140, heads=2, kv_heads=1, n=1)

    @jax.jit
    def derivatives(offset, *arrays):
        def results(offset):
            f = partial(attention, causal=True, window=100, offset=offset)
            gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), (0, 1, 2))
            tangent = tuple(jnp.cos(3 * a) for a in arrays)
            return jax.jvp(f, arrays, tangent), jax.jvp(gradient, arrays, tangent)

        return results(0), results(offset)

    blocks, at_once = derivatives(jnp.int32(0), *arrays)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-11), blocks, at_once)


def test_nothing_to_see_is_zero_with_finite_gradients():
    """A mask without a True: value 0, all gradients 0, the second ones too."""
    arrays = draw(3, 4, n=1, dtype=np.float32)
    f = jax.jit(lambda *a: jnp.sum(jnp.sin(attention(*a, mask=jnp.zeros((1, 1, 3, 4), bool)))))
    for derivative in (jax.grad(f, (0, 1, 2)), jax.hessian(f, (0, 1, 2))):
        jax.tree.map(partial(np.testing.assert_array_equal, 0), jax.jit(derivative)(*arrays))


def test_extreme_logits():
    """Logits of ±1e4 do not overflow: softmax is then a choice of one key."""
    q = jnp.full((1, 1, 1, 1), 1e4)
    k = jnp.asarray([-1.0, 1.0, 0.0]).reshape(1, 3, 1, 1)
    v = jnp.asarray([3.0, 5.0, 7.0]).reshape(1, 3, 1, 1)
    value, gradient = jax.jit(jax.value_and_grad(lambda q: attention(q, k, v).sum()))(q)
    assert value == 5
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("t", [5, 130])
def test_transformations(x64, t):
    """Under vmap (against a loop), scan and checkpoint, value and gradient are the same."""
    arrays = map(np.asarray, draw(t, t, heads=2, kv_heads=1))
    many = tuple(np.stack([a, a[::-1] + 0.5]) for a in arrays)

    def f(arrays):
        return jnp.sum(jnp.sin(attention(*arrays, causal=True)))

    both = jax.value_and_grad(f)

    @jax.jit
    def every_way(many):
        return (
            jax.vmap(both)(many),
            jax.vmap(jax.value_and_grad(jax.checkpoint(f)))(many),
            jax.lax.scan(lambda _, arrays: (None, both(arrays)), None, many)[1],
        )

    one = jax.jit(both)
    loop = jax.tree.map(lambda *a: np.stack(a), *[one(tuple(a[i] for a in many)) for i in range(2)])
    for got in every_way(many):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), got, loop)


@pytest.mark.parametrize("t", [6, 130])
def test_bfloat16(t):
    """Half precision in and out; weights and values are rounded to it, softmax is not."""
    arrays = draw(t, t, dtype=jnp.bfloat16, n=1)
    f = partial(attention, causal=True)
    got, gradient = jax.jit(lambda *a: (f(*a), jax.grad(lambda q: f(q, *a[1:]).sum())(a[0])))(
        *arrays
    )
    assert got.dtype == gradient.dtype == jnp.bfloat16
    truth = by_loop(*(np.asarray(a, np.float32) for a in arrays), causal=True)
    np.testing.assert_allclose(np.asarray(got, np.float32), truth, rtol=2**-7, atol=2**-7)


def test_more_axes_of_a_batch(x64):
    """Any number of leading axes, none included."""

    @jax.jit
    def every_way(*arrays):
        f = partial(attention, causal=True)
        first = [a[0] for a in arrays]
        return f(*arrays), f(*first), f(*(a[None] for a in arrays))

    whole, first, nested = map(np.asarray, every_way(*draw()))
    np.testing.assert_allclose(first, whole[0], atol=1e-14)
    np.testing.assert_allclose(nested[0], whole, atol=1e-14)


def test_tables_of_one_example(x64):
    """Without a batch, a mask and a bias of heads, queries and keys serve the heads they name."""
    q, k, v = draw(n=1, kv_heads=2)
    mask, bias = random_mask((4, 5, 7)), jnp.sin(jnp.arange(140.0)).reshape(4, 5, 7)
    got = jax.jit(attention)(q[0], k[0], v[0], mask=mask, bias=bias)
    np.testing.assert_allclose(got, by_loop(q, k, v, mask=mask, bias=bias)[0], atol=1e-12)


def test_accelerators_compute_at_once():
    """Lowered for a CPU, causal attention is blocks; for GPU and TPU, one pair of products."""
    q, k, v = draw(512, 512, n=1, d=8, e=8, dtype=np.float32)
    traced = jax.jit(partial(attention, causal=True)).trace(q, k, v)
    for platform, products in (("cpu", 8), ("cuda", 2), ("tpu", 2)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("dot_general") == products
        assert ("x512x512xf32>" in text) == (platform != "cpu")
    short = jax.jit(partial(attention, causal=True)).lower(*draw(128, 128, dtype=np.float32))
    assert short.as_text().count("dot_general") == 2


def test_blocks_compute_what_is_in_sight():
    """Work of a window of 64 among 1024: at most (128 + 63)/1024 of the whole, with a margin."""
    arrays = draw(1024, 1024, heads=1, kv_heads=1, n=1, d=16, e=16, dtype=np.float32)

    def flops(**options):
        analysis = jax.jit(partial(attention, **options)).lower(*arrays).cost_analysis()
        assert analysis is not None
        return analysis["flops"]

    assert flops(causal=True, window=64) < 1.2 * 191 / 1024 * flops()
    assert flops(causal=True) < 1.2 * (1 + 128 / 1024) / 2 * flops()


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 2, 3, 4), (1, 2, 2, 4), (1, 2, 2, 4)), {}, "3 heads of q"),
        (((1, 2, 2, 4),) * 3, {"window": 0}, "window must be at least 1"),
        (((1, 2, 2, 4),) * 3, {"mask": jnp.ones((2, 2), bool)}, r"mask must be \(1, 2, 2, 2\)"),
        (((1, 2, 2, 4),) * 3, {"bias": jnp.ones((1, 3, 2, 2))}, "bias must be"),
    ],
)
def test_bad_input_is_named(shapes, options, message):
    """Heads, windows and tables that do not fit say so."""
    with pytest.raises(ValueError, match=message):
        attention(*map(jnp.ones, shapes), **options)
