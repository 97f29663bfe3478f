# SPDX-License-Identifier: Apache-2.0
"""Token transformers: who sees whom, how time and context act, and the size of a published one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.nn import RMSNorm, Transformer

SIZES = (11, 8, 2, 2, 5)
TOKENS = jnp.asarray([[3, 1, 4, 0, 5], [9, 2, 6, 7, 8]])
T = jnp.asarray([0.2, 0.7])
CONTEXT = jnp.asarray([[1.0, 0, 0], [0, 0, 1]])
KINDS = {
    "plain": {},
    "causal": {"causal": True},
    "modern": {
        "causal": True,
        "rotary": True,
        "norm": RMSNorm,
        "n_kv_heads": 1,
        "gated_mlp": True,
        "activation": jax.nn.silu,
        "expansion": 2,
    },
    "timed": {"timed": True},
    "conditional": {"n_context": 3, "rotary": True},
    "timed conditional": {"timed": True, "n_context": 3, "normalize_qk": True, "remat": True},
}


def build(**options):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: Transformer(*SIZES, length=5, **options, rngs=nnx.Rngs(0)))
    return jax.tree.map(lambda s: jnp.asarray(0.4 * rng.normal(size=s.shape)), shapes)


RUN = jax.jit(lambda model, tokens, t, context: model(tokens, t, context))


def given(options):
    """The time and the context that a network of these options is called with."""
    return T.astype(float), CONTEXT.astype(float) if "n_context" in options else None


@pytest.mark.parametrize("name", ["plain", "causal", "modern"])
def test_an_output_depends_on_its_own_token_and_earlier_ones(name, x64):
    """Another token j changes outputs i ≥ j, and those before it not by a bit; or all of them."""
    model, (t, context) = build(**KINDS[name]), given(KINDS[name])
    plain = RUN(model, TOKENS, t, context)
    seen = np.empty((5, 5), bool)
    for j in range(5):
        other = RUN(model, TOKENS.at[:, j].set(10), t, context)
        seen[:, j] = np.abs(other - plain).max((0, 2)) > 0
    np.testing.assert_array_equal(seen, True if name == "plain" else np.tri(5) > 0)


@pytest.mark.parametrize("name", KINDS)
def test_rows_do_not_know_each_other(name, x64):
    """Another first sequence, at another time, leaves the second one's outputs alone."""
    model, (t, context) = build(**KINDS[name]), given(KINDS[name])
    y = RUN(model, TOKENS, t, context)
    assert y.shape == (2, 5, 5)
    other = context if context is None else context.at[0].add(1.0)
    moved = RUN(model, TOKENS.at[0].add(1), t.at[0].add(0.1), other)
    np.testing.assert_allclose(moved[1], y[1], rtol=1e-11, atol=1e-12)
    assert (np.abs(moved[0] - y[0]).max(-1) > 1e-3).all()


def test_every_parameter_has_a_slope(x64):
    """Gradients are finite everywhere and nowhere 0, rows of absent tokens apart."""
    name = "timed conditional"
    model, (t, context) = build(**KINDS[name]), given(KINDS[name])
    slope = jax.jit(jax.grad(lambda model: jnp.sin(model(TOKENS, t, context)).sum()))(model)
    for path, leaf in jax.tree.leaves_with_path(slope):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 1e-6, path
    absent = np.setdiff1d(np.arange(11), TOKENS)
    np.testing.assert_array_equal(slope.tokens[...][absent], 0)


def test_logits_begin_equal():
    """The last linear map is 0: every token is as likely as any other."""
    last = jax.jit(lambda: Transformer(*SIZES, length=5, rngs=nnx.Rngs(0)).last)()
    assert len(jax.tree.leaves(last)) == 2
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(last))


@pytest.mark.parametrize("name", ["conditional", "timed conditional"])
def test_no_context_is_a_context_of_zeros(name, x64):
    model, (t, context) = build(**KINDS[name]), given(KINDS[name])
    nothing = RUN(model, TOKENS, t, None)
    np.testing.assert_array_equal(nothing, RUN(model, TOKENS, t, jnp.zeros((2, 3))))
    assert (np.abs(nothing - RUN(model, TOKENS, t, context)).max((1, 2)) > 1e-3).all()


def test_time_acts_where_it_is_asked_to(x64):
    """In a timed network on its own row; an untimed one passes over it."""
    later = T.astype(float) + jnp.asarray([0.0, 0.01])
    for name, acts in (("timed", True), ("plain", False), ("conditional", False)):
        model, (t, _) = build(**KINDS[name]), given(KINDS[name])
        gap = np.abs(RUN(model, TOKENS, later, None) - RUN(model, TOKENS, t, None)).max((1, 2))
        assert gap[0] < 1e-12
        assert (gap[1] > 1e-3) == acts


def test_positions_are_told_by_the_table_alone(x64):
    """Tokens permuted, outputs permuted, once the table of positions is 0."""
    model, (t, _), order = build(), given({}), np.array([3, 0, 4, 1, 2])

    def gap():
        moved, plain = (RUN(model, tokens, t, None) for tokens in (TOKENS[:, order], TOKENS))
        return np.abs(moved - plain[:, order]).max()

    assert gap() > 1e-2
    model.positions[...] = jnp.zeros((5, 8))
    assert gap() < 1e-11


@pytest.mark.parametrize(
    "options", [{}, {"rotary": True, "timed": True, "n_context": 3}, KINDS["modern"]]
)
def test_a_sequence_that_grows_gives_the_same(options, x64):
    """Token by token inside a scan as all at once, with positions learned or turned."""
    model, (t, context) = build(**{"causal": True, **options}), given(options)

    @jax.jit
    def one_by_one(model, tokens):
        def step(cache, token):
            y, cache = model.extend(token[:, None], cache, t, context)
            return cache, y[:, 0]

        cache = jax.tree.map(lambda a: a.astype(float) if a.ndim else a, model.empty_cache(2))
        return jax.lax.scan(step, cache, tokens.T)[1].swapaxes(0, 1)

    whole = RUN(model, TOKENS, t, context)
    np.testing.assert_allclose(one_by_one(model, TOKENS), whole, rtol=1e-10, atol=1e-12)


def test_dropout_needs_a_key():
    """Both branches of a block draw under the key; without one nothing is random."""
    model = jax.eval_shape(lambda: Transformer(*SIZES, length=5, dropout=0.1, rngs=nnx.Rngs(0)))

    def draws(**options):
        return str(jax.make_jaxpr(lambda model: model(TOKENS, **options))(model))

    assert draws(key=jax.random.key(0)).count("name=_bernoulli") == 2
    assert "random" not in draws()


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside leaves parameters in float32."""
    for dtype, expected in ((None, jnp.float32), (jnp.bfloat16, jnp.bfloat16)):

        def run(dtype=dtype):
            model = Transformer(*SIZES, length=5, timed=True, dtype=dtype, rngs=nnx.Rngs(0))
            return model, model(TOKENS, T)

        model, y = jax.eval_shape(run)
        assert y.dtype == expected
        assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {jnp.dtype(jnp.float32)}


def test_the_size_of_gpt2_and_its_programs_for_accelerators():
    """124 439 808 parameters, the output layer apart, which GPT-2 shares with the embedding."""

    def make():
        return Transformer(50257, 768, 12, 12, 50257, length=1024, causal=True, rngs=nnx.Rngs(0))

    model = jax.eval_shape(make)
    n = sum(leaf.size for leaf in jax.tree.leaves(model))
    assert n - (768 + 1) * 50257 == 124_439_808
    tokens = jax.ShapeDtypeStruct((4, 1024), jnp.int32)
    traced = jax.jit(jax.grad(lambda model, x: model(x).mean())).trace(model, tokens)
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == 2  # one loop forward, one backward


def test_what_does_not_fit_is_refused():
    def run(*arguments, sizes=SIZES, length=5, **options):
        def make(*arguments):
            return Transformer(*sizes, length=length, **options, rngs=nnx.Rngs(0))(*arguments)

        return jax.eval_shape(make, *arguments)

    long = jnp.zeros((2, 6), jnp.int32)
    for message, call in {
        "n_tokens: expected a positive size, got 0": lambda: run(TOKENS, sizes=(0, 8, 1, 2, 5)),
        "n_out: expected a positive size, got 0": lambda: run(TOKENS, sizes=(11, 8, 1, 2, 0)),
        "length: expected a positive size, got 0": lambda: run(TOKENS, length=0),
        "n_context: expected at least 0, got -1": lambda: run(TOKENS, n_context=-1),
        "n_heads: expected a divisor": lambda: run(TOKENS, sizes=(11, 8, 1, 3, 5)),
        "tokens: expected at most 5 a sequence, got 6": lambda: run(long),
        "context: expected 0 features, got 3": lambda: run(TOKENS, T, CONTEXT),
        "context: expected 2 features, got 3": lambda: run(TOKENS, T, CONTEXT, n_context=2),
        "expansion: expected at least 1, got 0": lambda: run(TOKENS, expansion=0),
        "size: expected at most 5 tokens, got 6": lambda: jax.eval_shape(
            lambda: Transformer(*SIZES, length=5, rngs=nnx.Rngs(0)).empty_cache(2, 6)
        ),
        "t: expected a time for every sequence, got none": lambda: run(TOKENS, timed=True),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
