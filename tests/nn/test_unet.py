# SPDX-License-Identifier: Apache-2.0
"""U-Nets: published sizes, what they may be called with, and that every part of them acts."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import UNet

SMALL = {"multipliers": (1, 2), "n_blocks": 1, "n_context": 3, "n_out": 2}
RUN = jax.jit(lambda model, x, t, context: model(x, t, context))


def shapes(*arguments, **options):
    """A network without numbers: nothing is computed."""
    return jax.eval_shape(lambda: UNet(*arguments, **options, rngs=nnx.Rngs(0)))


def small(dtype=float):
    """With NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    model = shapes((4, 4, 1), 4, **SMALL)
    return jax.tree.map(lambda s: jnp.asarray(0.4 * rng.normal(size=s.shape), dtype), model)


def draw(dtype=float):
    """Images, times and one-hot contexts."""
    x = np.random.default_rng(1).normal(size=(3, 4, 4, 1))
    return jnp.asarray(x, dtype), jnp.asarray([0.1, 0.5, 0.9], dtype), jnp.eye(3, dtype=dtype)


def size(model):
    return sum(leaf.size for leaf in jax.tree.leaves(model))


def counted(width, multipliers, n_blocks, attention, n_image, maps):
    """Parameters of DDPM's network, added up layer by layer; maps of time a block: 1 or 2."""

    def conv(a, b, taps=9):
        return taps * a * b + b

    def block(a, b):
        skip = conv(a, b, 1) if a != b else 0
        time = (4 * width + 1) * maps * b
        return 2 * a + conv(a, b) + time + 2 * b + conv(b, b) + skip

    def looks(c):
        return 2 * c + 4 * conv(c, c, 1)

    n, total, last = width, conv(n_image, width), len(multipliers) - 1
    total += conv(width, 4 * width, 1) + conv(4 * width, 4 * width, 1)
    skips = [n]
    for level, m in enumerate(multipliers):
        for _ in range(n_blocks):
            total += block(n, m * width) + (looks(m * width) if level in attention else 0)
            n = m * width
            skips.append(n)
        if level < last:
            total += conv(n, n)
            skips.append(n)
    total += 2 * block(n, n) + looks(n)
    for level in range(last, -1, -1):
        for _ in range(n_blocks + 1):
            c = multipliers[level] * width
            total += block(n + skips.pop(), c) + (looks(c) if level in attention else 0)
            n = c
        total += conv(n, n) if level else 0
    return total + 2 * n + conv(n, n_image)


def test_the_size_of_ddpm_on_cifar():
    """35.7 million parameters as published, to the last one; also with scales and other levels."""
    assert size(shapes((32, 32, 3), 128, scale=False)) == 35_746_307
    assert counted(128, (1, 2, 2, 2), 2, (1,), 3, 1) == 35_746_307
    assert size(shapes((32, 32, 3), 128)) == counted(128, (1, 2, 2, 2), 2, (1,), 3, 2)
    other = shapes((28, 28, 1), 64, multipliers=(1, 2, 3), n_blocks=1, attention=(0, 2))
    assert size(other) == counted(64, (1, 2, 3), 1, (0, 2), 1, 2)


def test_the_output_begins_at_zero():
    """The last convolution is 0, and nothing comes behind it."""
    last = jax.jit(lambda: UNet((4, 4, 1), 4, **SMALL, rngs=nnx.Rngs(0)).last)()
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(last))
    model = small(jnp.float32)
    zero = jax.tree.map(jnp.zeros_like, model.last)
    x, t, _ = draw(jnp.float32)
    model.last = zero
    np.testing.assert_array_equal(RUN(model, x, t, None), np.zeros((3, 4, 4, 2)))


def test_all_of_it_acts_on_its_own_image():
    """∂ output of row 1: not 0 for every parameter, exactly 0 for what the other rows are given.

    And no context is a context of zeros.
    """
    model, (x, t, context) = small(jnp.float32), draw(jnp.float32)

    def value(model, x, t, context):
        y = model(x, t, context)
        return jnp.sin(y[1]).sum(), y

    run = jax.jit(jax.grad(value, argnums=(0, 1, 2, 3), has_aux=True))
    (slope, *slopes), _ = run(model, x, t, context)
    for path, leaf in jax.tree.leaves_with_path(slope):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 1e-4, path
    for leaf in slopes:
        assert np.abs(leaf[1]).max() > 1e-3
        np.testing.assert_array_equal(leaf[np.array([0, 2])], 0)
    _, nothing = run(model, x, t, jnp.zeros((3, 3)))
    np.testing.assert_allclose(RUN(model, x, t, None), nothing, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_compiled_in_any_way_it_is_the_same(x64):
    """Over times by `lax.scan`, two networks by `vmap`, and gradients under `jax.checkpoint`."""
    model, (x, t, context) = small(), draw()

    @jax.jit
    def over_times(model, times):
        def step(x, t):
            return x - 0.1 * model(x, jnp.full(3, t), context)[..., :1], None

        return jax.lax.scan(step, x, times)[0]

    expected = x
    for time in t:
        expected = expected - 0.1 * RUN(model, expected, jnp.full(3, time), context)[..., :1]
    np.testing.assert_allclose(over_times(model, t), expected, rtol=1e-9, atol=1e-10)

    both = jax.tree.map(lambda a: jnp.stack([a, 0.9 * a]), model)
    found = jax.jit(jax.vmap(lambda model: model(x, t, context)))(both)
    for i in range(2):
        own = jax.tree.map(lambda a, i=i: a[i], both)
        np.testing.assert_allclose(found[i], RUN(own, x, t, context), rtol=1e-9, atol=1e-10)

    def value(run):
        return jax.jit(jax.grad(lambda model: jnp.sin(run(model, x, t, context)).sum()))(model)

    kept, again = value(UNet.__call__), value(jax.checkpoint(UNet.__call__))
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_dropout_acts_in_every_block_by_its_own_key():
    """Each of the 8 blocks folds another number into the key; without one nothing is random."""
    x, t = jnp.zeros((1, 4, 4, 1)), jnp.zeros(1)
    model = shapes((4, 4, 1), 4, **SMALL, dropout=0.1)

    def draws(**options):
        return str(jax.make_jaxpr(lambda model: model(x, t, **options))(model))

    dropping = draws(key=jax.random.key(0))
    assert sorted(re.findall(r"random_fold_in \w+ (\d+)", dropping)) == list("01234567")
    assert dropping.count("name=_bernoulli") == 8
    assert "random" not in draws()


def test_images_of_mnist_and_of_other_sizes():
    """28 → 14 → 7 with three levels; a network reads every size that halves."""
    model = shapes((28, 28, 1), 8, multipliers=(1, 2, 2), n_blocks=1)
    t = jnp.zeros(2)
    for h, w in ((28, 28), (32, 24)):
        y = jax.eval_shape(lambda m, x: m(x, t), model, jnp.zeros((2, h, w, 1)))
        assert y.shape == (2, h, w, 1)
    with pytest.raises(ValueError, match="shape: 28x30 images do not halve evenly 2 times"):
        jax.eval_shape(lambda m, x: m(x, t), model, jnp.zeros((2, 28, 30, 1)))


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside leaves parameters in float32."""
    for dtype, expected in ((None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)):
        model = shapes((4, 4, 1), 4, **SMALL, dtype=dtype)
        y = jax.eval_shape(lambda m: m(jnp.zeros((1, 4, 4, 1)), jnp.zeros(1)), model)
        assert y.dtype == expected
        assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {jnp.dtype(jnp.float32)}


def test_the_papers_size_lowers_for_accelerators():
    """DDPM's network on CIFAR-10 and its gradient; kernels with taps are native convolutions."""
    model = shapes((32, 32, 3), 128, scale=False)
    x, t = jax.ShapeDtypeStruct((128, 32, 32, 3), jnp.float32), jax.ShapeDtypeStruct((128,), "f4")
    traced = jax.jit(lambda m, x, t: m(x, t)).trace(model, x, t)
    kernels = [leaf for leaf in jax.tree.leaves(model) if leaf.shape[:2] == (3, 3)]
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") >= len(kernels) == 52
    slope = jax.jit(jax.grad(lambda m, x, t: m(x, t).sum())).trace(model, x, t)
    for platform in ("cuda", "tpu"):
        assert slope.lower(lowering_platforms=(platform,)).as_text()


def test_what_does_not_fit_is_refused():
    for arguments, options, message in (
        (((30, 28, 1), 8), {"multipliers": (1, 2, 2)}, "shape: 30x28 images do not halve evenly 2"),
        (((28, 28, 1), 0), {}, "width, multipliers, .*: expected positive sizes"),
        (((28, 28, 1), 8), {"multipliers": ()}, "expected positive sizes"),
        (((28, 28, 1), 8), {"multipliers": (1, 0)}, "expected positive sizes"),
        (((28, 28, 1), 8), {"n_blocks": 0}, "expected positive sizes"),
        (((8, 8, 1), 8), {"multipliers": (1, 2), "attention": (2,)}, "levels from 0 to 1, got"),
        (((8, 8, 1), 8), {"head_width": 3}, "head_width: expected a divisor of 16 channels, got 3"),
        (((8, 8, 1), 8), {"dropout": 1.0}, "dropout: expected a number"),
    ):
        with pytest.raises(ValueError, match=message):
            shapes(*arguments, **options)
    for n_context, given in ((0, 3), (3, 2)):
        model = shapes((4, 4, 1), 4, multipliers=(1,), attention=(), n_context=n_context)
        with pytest.raises(ValueError, match=f"expected {n_context} features, got {given}"):
            jax.eval_shape(
                lambda m, c: m(jnp.zeros((1, 4, 4, 1)), jnp.zeros(1), c),
                model,
                jnp.zeros((1, given)),
            )
