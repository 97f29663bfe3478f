# SPDX-License-Identifier: Apache-2.0
"""Blocks of a transformer against NumPy, and stacks of them against the same written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import GatedMLP, LayerNorm, RMSNorm, TransformerBlock, TransformerStack

KINDS = {
    "layer": {},
    "rms": {"norm": RMSNorm},
    "rms swiglu": {"norm": RMSNorm, "gated_mlp": True, "activation": jax.nn.silu, "expansion": 3},
    "adaptive": {"n_condition": 3},
    "adaptive rms": {"n_condition": 3, "norm": RMSNorm},
}


def with_numbers(make, size=0.5):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(size * rng.normal(size=s.shape)), shapes)


def block(**options):
    return with_numbers(lambda: TransformerBlock(8, 2, **options, rngs=nnx.Rngs(0)))


def stack(n_layers, **options):
    return with_numbers(lambda: TransformerStack(n_layers, 8, 2, **options, rngs=nnx.Rngs(0)), 0.2)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def by_hand(module, h, condition, rms):
    """One sequence through one block, norms, softmaxes and the MLP spelled out."""

    def of(linear):
        return np.asarray(linear.kernel[...]), np.asarray(linear.bias[...])

    def adapted(norm, h):
        centred = h if rms else h - h.mean(1, keepdims=True)
        eps = 1e-6 if rms else 1e-5
        y = centred / np.sqrt((centred**2).mean(1, keepdims=True) + eps)
        if condition is None:
            y = y * np.asarray(norm.norm.scale[...])
            return (y if rms else y + np.asarray(norm.norm.bias[...])), 1.0
        kernel, bias = of(norm.modulation)
        scale, shift, gate = np.split(condition @ kernel + bias, 3)
        return y * (1 + scale) + shift, gate

    def attended(y):
        (kernel, bias), heads = of(module.attention.qkv), []
        q, k, v = np.split(y @ kernel + bias, 3, axis=1)
        for own in (slice(0, 4), slice(4, 8)):
            weight = np.exp(q[:, own] @ k[:, own].T / 2)
            heads.append(weight / weight.sum(1, keepdims=True) @ v[:, own])
        kernel, bias = of(module.attention.out)
        return np.concatenate(heads, axis=1) @ kernel + bias

    def mlp(y):
        if isinstance(module.mlp, GatedMLP):
            (kernel, bias), (u, c) = of(module.mlp.layers[0]), of(module.mlp.last)
            value, gate = np.split(y @ kernel + bias, 2, axis=1)
            return (value * gate / (1 + np.exp(-gate))) @ u + c
        (w, b), (u, c) = (of(layer) for layer in module.mlp.layers)
        a = y @ w + b
        a = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))
        return a @ u + c

    y, gate = adapted(module.attention_norm, h)
    h = h + gate * attended(y)
    y, gate = adapted(module.mlp_norm, h)
    return h + gate * mlp(y)


@pytest.mark.parametrize("name", KINDS)
def test_a_block_is_attention_and_an_mlp_behind_norms(name, x64):
    """h + α attention((1 + γ) LN(h) + β), then the same with the MLP, in NumPy to 1e-12."""
    module, h = block(**KINDS[name]), draw(2, 5, 8)
    condition = draw(2, 3) if "n_condition" in KINDS[name] else None
    got = jax.jit(module.__call__)(h, condition)
    for i in range(2):
        own = None if condition is None else np.asarray(condition[i])
        expected = by_hand(module, np.asarray(h[i]), own, "rms" in name)
        np.testing.assert_allclose(got[i], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_condition", [0, 3])
def test_a_block_begins_as_the_identity_and_can_leave_it(n_condition):
    """The output is h, and both branches have a slope that moves them."""
    h = draw(2, 5, 8).astype(jnp.float32)
    condition = draw(2, 3).astype(jnp.float32) if n_condition else None

    def value(module):
        y = module(h, condition)
        return jnp.square(y).sum(), y

    @jax.jit
    def begun():
        module = TransformerBlock(8, 2, n_condition=n_condition, rngs=nnx.Rngs(0))
        return jax.grad(value, has_aux=True)(module)

    slope, y = begun()
    np.testing.assert_array_equal(y, h)
    if n_condition:
        parts = [norm.modulation.kernel[...] for norm in (slope.attention_norm, slope.mlp_norm)]
    else:
        parts = [slope.attention.out.kernel[...], slope.mlp.layers[-1].kernel[...]]
    assert all(np.abs(part).max() > 0.1 for part in parts)


def test_a_stack_is_its_blocks_one_after_another(x64):
    """Values and gradients, with blocks that the backward pass computes again."""
    h, condition = draw(2, 3, 8), draw(2, 3)
    model = stack(2, n_condition=3, remat=True)
    parts = [jax.tree.map(lambda a, i=i: a[i], model.blocks) for i in range(2)]

    def by_loop(parts, h):
        for part in parts:
            h = part(h, condition)
        return h

    def slopes(run):
        return jax.jit(jax.value_and_grad(lambda model, h: jnp.sin(run(model, h)).sum()))

    value, slope = slopes(by_loop)(parts, h)
    slope = jax.tree.map(lambda *a: jnp.stack(a), *slope)
    mine, other = slopes(lambda model, h: model(h, condition))(model, h)
    np.testing.assert_allclose(mine, value, rtol=1e-12)
    for a, b in zip(jax.tree.leaves(other.blocks), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_depth_is_not_compiled():
    """A program for 20 blocks has as many products of matrices as one for 2."""
    h = jax.ShapeDtypeStruct((2, 3, 8), jnp.float32)
    counts = set()
    for n in (2, 20):
        model = jax.eval_shape(lambda n=n: TransformerStack(n, 8, 2, rngs=nnx.Rngs(0)))
        text = jax.jit(lambda model, h: model(h)).lower(model, h).as_text()
        counts.add((text.count("dot_general"), text.count("stablehlo.while")))
    assert counts == {(6, 1)}


def test_a_gradient_that_computes_again_keeps_inputs_alone():
    """Of 16 blocks the backward pass is handed parameters and 16 inputs, or far more without."""
    h, kept = jax.ShapeDtypeStruct((8, 64, 8), jnp.float32), {}
    for remat in (False, True):
        model = jax.eval_shape(
            lambda remat=remat: TransformerStack(16, 8, 2, remat=remat, rngs=nnx.Rngs(0))
        )
        back = jax.eval_shape(lambda model, h: jax.vjp(lambda m, h: m(h), model, h)[1], model, h)
        n_parameters = sum(leaf.size for leaf in jax.tree.leaves(model))
        kept[remat] = sum(leaf.size for leaf in jax.tree.leaves(back)) - n_parameters
    assert kept[True] <= 16 * h.size + 1000
    assert kept[False] > 20 * kept[True]


def test_a_stack_that_grows_gives_the_same(x64):
    """Two elements, then three behind them, under a condition, as five at once."""
    model, h, condition = (
        stack(2, n_condition=3, causal=True, rotary=True),
        draw(2, 5, 8),
        draw(2, 3),
    )
    cache = jax.tree.map(lambda a: a.astype(float) if a.ndim else a, model.empty_cache(2, 5))
    first, cache = jax.jit(model.extend)(h[:, :2], cache, condition)
    rest, cache = jax.jit(model.extend)(h[:, 2:], cache, condition)
    whole = jax.jit(model.__call__)(h, condition)
    np.testing.assert_allclose(jnp.concatenate([first, rest], axis=1), whole, rtol=1e-11)
    assert [one.length for one in cache] == [5, 5]


def test_dropout_leaves_out_or_enlarges(x64):
    """Each output of a branch is 0 or 1/(1 − p) times what it was; without a key, all stay."""
    module, h = block(dropout=0.25), draw(2, 5, 8)
    quiet = jax.tree.map(jnp.zeros_like, module.mlp)
    module.mlp = quiet
    run = jax.jit(module.__call__)
    plain = np.asarray(run(h) - h)
    dropped = np.asarray(run(h, key=jax.random.key(0)) - h)
    gone = np.abs(dropped) < 1e-12
    assert 5 <= gone.sum() <= 40
    np.testing.assert_allclose(dropped, np.where(gone, 0, plain / 0.75), rtol=1e-10, atol=1e-12)


def test_every_branch_of_every_block_drops_by_itself(x64):
    """Four branches that add 1: with p = ½ the sums are 2 × binomial(4, ½), 1/16 of them 0."""
    model = jax.tree.map(jnp.zeros_like, stack(2, dropout=0.5))
    model.blocks.attention.out.bias[...] = jnp.ones((2, 8))
    model.blocks.mlp.layers[-1].bias[...] = jnp.ones((2, 8))
    sums = jax.jit(model.__call__)(jnp.zeros((64, 16, 8)), key=jax.random.key(0)) / 2
    n = sums.size
    for k, share in enumerate(np.array([1, 4, 6, 4, 1]) / 16):
        error = np.sqrt(share * (1 - share) / n)
        assert abs(float((sums == k).mean()) - share) < 4.5 * error


def test_blocks_know_no_order(x64):
    """Permuted elements give permuted outputs."""
    module, h, order = block(n_condition=3), draw(2, 5, 8), np.array([3, 0, 4, 1, 2])
    run, condition = jax.jit(module.__call__), draw(2, 3)
    np.testing.assert_allclose(run(h[:, order], condition), run(h, condition)[:, order], rtol=1e-11)


def test_what_does_not_fit_is_refused():
    h = jnp.zeros((1, 2, 8))
    with pytest.raises(ValueError, match=r"dropout: expected a number in \[0, 1\), got 1"):
        TransformerBlock(8, 2, dropout=1.0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="n_layers: expected at least 1, got 0"):
        TransformerStack(0, 8, 2, rngs=nnx.Rngs(0))
    for n_condition, condition in ((3, None), (0, jnp.zeros((1, 3)))):
        given = 0 if condition is None else 3
        with pytest.raises(ValueError, match=f"condition: expected {n_condition} .* got {given}"):
            jax.eval_shape(
                lambda n=n_condition, c=condition: TransformerBlock(
                    8, 2, n_condition=n, norm=LayerNorm, rngs=nnx.Rngs(0)
                )(h, c)
            )
