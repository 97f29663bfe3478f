# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks on tokens: what they are made of, and how they grow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers import GRU, LSTM, RNN
from jaxml.nn import TokenRecurrent

N = 5
TOKENS = jnp.asarray(np.random.default_rng(1).integers(N, size=(2, 4)))
C = np.random.default_rng(2).normal(size=(2, 3))


def build(kind, widths, **options):
    """In double precision, with NumPy's weights in place of the initial ones."""
    rng = np.random.default_rng(0)
    make = lambda: TokenRecurrent(kind, N, widths, 3, **options, rngs=nnx.Rngs(0))  # noqa: E731
    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape)), shapes)


def test_it_is_layers_of_vectors_and_an_affine_map(x64):
    """One-hot vectors, or rows of an embedding with a context added, through `Recurrent`."""
    c = jnp.asarray(C)
    plain, embedded = build(LSTM, (4, 6)), build(GRU, (4,), n_embedding=2)
    told = build(RNN, (4,), n_embedding=2, n_context=3)

    def affine(net, h):
        return h @ net.last.kernel[...] + net.last.bias[...][None, None]

    @jax.jit
    def everything(plain, embedded, told):
        one_hot = jax.nn.one_hot(TOKENS, N, dtype=float)
        shift = c @ told.context.kernel[...]
        return [
            (plain(TOKENS), affine(plain, plain.layers(one_hot)[1])),
            (embedded(TOKENS), affine(embedded, embedded.layers(embedded.tokens[TOKENS])[1])),
            (
                told(TOKENS, context=c),
                affine(told, told.layers(told.tokens[TOKENS] + shift[:, None])[1]),
            ),
            (told(TOKENS), told(TOKENS, context=0 * c)),
        ]

    for got, expected in everything(plain, embedded, told):
        np.testing.assert_allclose(got, expected, atol=1e-13)
        assert got.shape == (2, 4, 3)


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_a_sequence_that_grows_gives_the_same(kind, x64):
    """Two tokens, then one by one inside a scan, with a context, as all at once."""
    net, c = build(kind, (4, 3), n_embedding=2, n_context=3), jnp.asarray(C)

    @jax.jit
    def both(net):
        def step(state, token):
            y, state = net.extend(token[:, None], state, context=c)
            return state, y[:, 0]

        first, state = net.extend(TOKENS[:, :2], net.empty_cache(2, 99), context=c)
        rest = jax.lax.scan(step, state, TOKENS[:, 2:].T)[1].swapaxes(0, 1)
        return jnp.concatenate([first, rest], axis=1), net(TOKENS, context=c)

    np.testing.assert_allclose(*both(net), atol=1e-13)


def test_logits_begin_equal_and_dropout_needs_a_key():
    """The last map is 0; every layer's outputs are thinned out under a key, and only then."""

    def make():
        return TokenRecurrent(LSTM, N, (4, 4), 3, dropout=0.5, rngs=nnx.Rngs(0))

    assert all((leaf == 0).all() for leaf in jax.tree.leaves(jax.jit(lambda: make().last)()))
    net = jax.eval_shape(make)

    def draws(**options):
        return str(jax.make_jaxpr(lambda net: net(TOKENS, **options))(net))

    assert draws(key=jax.random.key(0)).count("name=_bernoulli") == 2
    assert "random" not in draws()


def test_the_computation_has_the_dtype_asked_for():
    """bfloat16 inside, states too, leaves parameters in float32."""
    for options in ({}, {"n_embedding": 2, "n_context": 3}):

        def run(options=options):
            net = TokenRecurrent(GRU, N, (4,), 3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0), **options)
            c = jnp.asarray(C, jnp.float32) if options else None
            y, state = net.extend(TOKENS, net.empty_cache(2), context=c)
            return net, (net(TOKENS, context=c), y, state)

        net, made = jax.eval_shape(run)
        assert {a.dtype for a in jax.tree.leaves(made)} == {jnp.dtype(jnp.bfloat16)}
        assert {leaf.dtype for leaf in jax.tree.leaves(net)} == {jnp.dtype(jnp.float32)}


def test_what_does_not_fit_is_refused():
    def run(n_tokens=N, n_out=3, widths=(4,), context=None, **options):
        def make():
            net = TokenRecurrent(GRU, n_tokens, widths, n_out, **options, rngs=nnx.Rngs(0))
            return net(TOKENS, context=context)

        jax.eval_shape(make)

    for message, options in {
        "n_tokens: expected a positive size, got 0": {"n_tokens": 0},
        "n_out: expected a positive size, got 0": {"n_out": 0},
        "widths: expected positive sizes": {"widths": ()},
        "and an embedding where there is a context, got 0 and 3": {"n_context": 3},
        "context: expected 0 features, got 3": {"context": jnp.asarray(C)},
        "context: expected 2 features, got 3": {
            "context": jnp.asarray(C),
            "n_embedding": 2,
            "n_context": 2,
        },
    }.items():
        with pytest.raises(ValueError, match=message):
            run(**options)
