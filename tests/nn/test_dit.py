# SPDX-License-Identifier: Apache-2.0
"""Diffusion transformers against NumPy, their published sizes, and what they may be called with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import DiT, dit

SMALL = {"n_context": 3, "n_out": 2}
RUN = jax.jit(lambda model, x, t, context: model(x, t, context))


def shapes(*arguments, **options):
    """A network without numbers: nothing is computed."""
    return jax.eval_shape(lambda: DiT(*arguments, **options, rngs=nnx.Rngs(0)))


def small(n_layers=2, **options):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    model = shapes((4, 6, 1), 2, 8, n_layers, 2, **SMALL, **options)
    return jax.tree.map(lambda s: jnp.asarray(0.2 * rng.normal(size=s.shape)), model)


def draw():
    """Images, times and one-hot contexts."""
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.normal(size=(3, 4, 6, 1))), jnp.asarray([0.1, 0.5, 0.9]), jnp.eye(3)


def counted(size):
    """Parameters of a network on latents of 32 × 32 × 4 in patches of 2, layer by layer.

    1000 classes, two outputs a channel. The paper's table of labels has one row more, for "no
    label", which is a context of zeros here.
    """
    w = size["width"]
    block = 18 * w**2 + 15 * w  # 4 w² of attention, 8 of the MLP, 6 of the modulation
    time = (256 + 1) * w + (w + 1) * w + 1000 * w
    outside = (16 + 1) * w + time + 2 * (w + 1) * w + (w + 1) * 32
    return size["n_layers"] * block + outside


@pytest.mark.parametrize(("preset", "millions"), [("S", 33), ("B", 130), ("L", 458), ("XL", 675)])
def test_published_sizes(preset, millions):
    """As many million parameters as the paper's, all accounted for: those of each block, twice."""
    size = getattr(dit, preset)
    assert round(counted(size) / 1e6) == millions
    two = {**size, "n_layers": 2}
    model = shapes((32, 32, 4), 2, **two, n_out=8, n_context=1000)
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == counted(two)


def test_patches_are_squares_and_go_back(x64):
    """Patch 3 i + j is the square in row i and column j, and unpatchify undoes patchify."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6, 3)))
    patches = dit.patchify(x, 2)
    assert patches.shape == (2, 6, 12)
    for i in range(2):
        for j in range(3):
            square = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            np.testing.assert_array_equal(patches[:, 3 * i + j], square.reshape(2, 12))
    np.testing.assert_array_equal(dit.unpatchify(patches, 2, 2), x)


def test_positions_are_waves_of_the_row_and_of_the_column(x64):
    """(sin iω, cos iω, sin jω, cos jω) with ω = 10000^(−k/(d/4)), each place another."""
    table = dit.positions(3, 5, like=jnp.zeros((1, 15, 8)))
    omega = 10_000.0 ** (-np.arange(2) / 2)
    expected = [
        np.concatenate([f(m * omega) for m in (i, j) for f in (np.sin, np.cos)])
        for i in range(3)
        for j in range(5)
    ]
    np.testing.assert_allclose(table[0], expected, rtol=1e-12, atol=1e-14)
    gaps = np.abs(table[0][:, None] - table[0][None]).max(-1) + np.eye(15)
    assert gaps.min() > 0.005


def test_the_whole_network_around_its_block(x64):
    """Patches W + positions, a block, an adaptive norm, a linear map, patches: in NumPy."""
    model, (x, t, context) = small(n_layers=1), draw()

    def mapped(linear, h):
        return h @ np.asarray(linear.kernel[...]) + np.asarray(linear.bias[...])

    condition = jax.nn.silu(model.time(t, context))
    patches = np.stack(
        [
            np.asarray(x[:, i : i + 2, j : j + 2, 0]).reshape(3, 4)
            for i in (0, 2)
            for j in (0, 2, 4)
        ],
        axis=1,
    )
    h = mapped(model.first, patches) + np.asarray(dit.positions(2, 3, like=jnp.zeros((1, 6, 8))))
    block = jax.tree.map(lambda a: a[0], model.stack.blocks)
    h = np.asarray(jax.jit(block.__call__)(h, condition))
    scale, shift = np.split(mapped(model.norm.modulation, np.asarray(condition))[:, None], 2, -1)
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
    out = mapped(model.last, h * (1 + scale) + shift)
    got = RUN(model, x, t, context)
    for place, (i, j) in enumerate((i, j) for i in (0, 2) for j in (0, 2, 4)):
        square = got[:, i : i + 2, j : j + 2].reshape(3, 8)
        np.testing.assert_allclose(square, out[:, place], rtol=1e-11, atol=1e-12)


def test_patches_know_their_places_by_the_positions_alone(x64, monkeypatch):
    """Two patches exchanged in x are exchanged in f(x), once all positions are equal."""
    model, (x, t, context) = small(), draw()

    def exchanged(x):
        return x.at[:, :2, :2].set(x[:, 2:, 4:]).at[:, 2:, 4:].set(x[:, :2, :2])

    def gap(run):
        moved, plain = (run(model, image, t, context) for image in (exchanged(x), x))
        return np.abs(moved - exchanged(plain)).max()

    assert gap(RUN) > 1e-3
    monkeypatch.setattr(dit, "positions", lambda rows, columns, *, like: jnp.ones_like(like[:1]))
    assert gap(jax.jit(lambda model, x, t, context: model(x, t, context))) < 1e-11


def test_the_output_begins_at_zero():
    """The last linear map is 0, and nothing comes behind it but the order of pixels."""
    last = jax.jit(lambda: DiT((4, 6, 1), 2, 8, 1, 2, rngs=nnx.Rngs(0)).last)()
    assert len(jax.tree.leaves(last)) == 2
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(last))


def test_all_of_it_acts_on_its_own_image(x64):
    """∂ output of row 1: not 0 for every parameter, exactly 0 for what the other rows are given.

    And no context is a context of zeros.
    """
    model, (x, t, context) = small(), draw()

    def value(model, x, t, context):
        return jnp.sin(model(x, t, context)[1]).sum()

    run = jax.jit(jax.grad(value, argnums=(0, 1, 2, 3)))
    slope, *slopes = run(small(remat=True), x, t, context)
    for path, leaf in jax.tree.leaves_with_path(slope):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 1e-5, path
    for leaf in slopes:
        assert np.abs(leaf[1]).max() > 1e-3
        np.testing.assert_array_equal(leaf[np.array([0, 2])], 0)
    nothing, zeros = RUN(model, x, t, None), RUN(model, x, t, jnp.zeros((3, 3)))
    assert nothing.shape == (3, 4, 6, 2)
    np.testing.assert_allclose(nothing, zeros, rtol=1e-10, atol=1e-11)
    assert (np.abs(nothing - RUN(model, x, t, context)).max((1, 2, 3)) > 1e-3).all()


def test_under_vmap_and_scan_as_one_by_one(x64):
    """Over times by `lax.scan`, and over two networks by `vmap`."""
    model, (x, t, context) = small(), draw()
    both = jax.tree.map(lambda a: jnp.stack([a, 0.9 * a]), model)

    @jax.jit
    def over_times(model, times):
        def step(x, t):
            return x - 0.1 * model(x, jnp.full(3, t), context)[..., :1], None

        return jax.lax.scan(step, x, times)[0]

    expected = x
    for time in t:
        expected = expected - 0.1 * RUN(model, expected, jnp.full(3, time), context)[..., :1]
    np.testing.assert_allclose(over_times(model, t), expected, rtol=1e-10, atol=1e-11)
    found = jax.jit(jax.vmap(lambda model: model(x, t, context)))(both)
    for i in range(2):
        own = jax.tree.map(lambda a, i=i: a[i], both)
        np.testing.assert_allclose(found[i], RUN(own, x, t, context), rtol=1e-10, atol=1e-11)


def test_dropout_needs_a_key():
    """Both branches of a block draw under the key; without one nothing is random."""
    model = shapes((4, 6, 1), 2, 8, 2, 2, dropout=0.1)
    x, t = jnp.zeros((1, 4, 6, 1)), jnp.zeros(1)

    def draws(**options):
        return str(jax.make_jaxpr(lambda model: model(x, t, **options))(model))

    assert draws(key=jax.random.key(0)).count("name=_bernoulli") == 2
    assert "random" not in draws()


def test_images_of_other_sizes_are_read():
    """Positions are computed when called, for every image that patches cover."""
    model, t = shapes((4, 6, 1), 2, 8, 1, 2), jnp.zeros(2)
    y = jax.eval_shape(lambda m: m(jnp.zeros((2, 10, 8, 1)), t), model)
    assert y.shape == (2, 10, 8, 1)
    with pytest.raises(ValueError, match="factor: expected a divisor of 10 and 7, got 2"):
        jax.eval_shape(lambda m: m(jnp.zeros((2, 10, 7, 1)), t), model)


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside leaves parameters in float32."""
    for dtype, expected in ((None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)):
        model = shapes((4, 6, 1), 2, 8, 1, 2, normalize_qk=True, dtype=dtype)
        y = jax.eval_shape(lambda m: m(jnp.zeros((1, 4, 6, 1)), jnp.zeros(1)), model)
        assert y.dtype == expected
        assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    "size", [dit.S, pytest.param(dit.XL, marks=pytest.mark.slow)], ids=["S", "XL"]
)
def test_the_papers_sizes_lower_for_accelerators(size):
    """DiT/2 with gradients in half precision: one loop forward, one backward."""
    options = {"n_out": 8, "n_context": 1000, "remat": True, "dtype": jnp.bfloat16}
    model = shapes((32, 32, 4), 2, **size, **options)
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == counted(size)
    x, t = jax.ShapeDtypeStruct((256, 32, 32, 4), jnp.float32), jax.ShapeDtypeStruct((256,), "f4")
    slope = jax.jit(jax.grad(lambda m, x, t: m(x, t).sum().astype(jnp.float32))).trace(model, x, t)
    for platform in ("cuda", "tpu"):
        text = slope.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == 2


def test_what_does_not_fit_is_refused():
    for arguments, options, message in (
        (((4, 5, 1), 2, 8, 1, 2), {}, "patch: expected a divisor of 4 and 5, got 2"),
        (((4, 4, 1), 0, 8, 1, 2), {}, "patch: expected a divisor of 4 and 4, got 0"),
        (((4, 4, 1), 2, 6, 1, 2), {}, "width: expected a multiple of 4, got 6"),
        (((4, 4, 1), 2, 8, 0, 2), {}, "n_layers: expected at least 1, got 0"),
        (((4, 4, 1), 2, 8, 1, 3), {}, "n_heads: expected a divisor"),
        (((4, 4, 0), 2, 8, 1, 2), {}, "shape, n_out: expected positive sizes"),
        (((4, 4, 1), 2, 8, 1, 2), {"n_out": 0}, "shape, n_out: expected positive sizes"),
        (((4, 4, 1), 2, 8, 1, 2), {"dropout": -0.1}, "dropout: expected a number"),
    ):
        with pytest.raises(ValueError, match=message):
            shapes(*arguments, **options)
    for n_context, given in ((0, 3), (3, 2)):
        model = shapes((4, 4, 1), 2, 8, 1, 2, n_context=n_context)
        x, t, context = jnp.zeros((1, 4, 4, 1)), jnp.zeros(1), jnp.zeros((1, given))
        with pytest.raises(ValueError, match=f"expected {n_context} features, got {given}"):
            jax.eval_shape(lambda m, x=x, t=t, c=context: m(x, t, c), model)
