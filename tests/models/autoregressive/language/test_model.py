# SPDX-License-Identifier: Apache-2.0
"""Language models: laws of probability, who sees whom, and the entropy of a Markov chain."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxml.layers import LSTM
from jaxml.models.autoregressive import language
from jaxml.nn import TokenRecurrent, Transformer
from jaxml.optimizers import adam
from jaxml.training import descend

K, T = 3, 5
KINDS = ["lstm", "gru", "transformer", "modern"]
ALL = np.array(list(itertools.product(range(K), repeat=T)))
CHAIN = np.array([[0.9, 0.1], [0.3, 0.7]])
STATIONARY = np.array([0.75, 0.25])
ENTROPY_RATE = 0.396528  # −Σ π_i P_ij log P_ij in nats


class Markov:
    """Logits that look at one token back; the start symbol has the last row."""

    length = None

    def __init__(self, table):
        self.table = jnp.log(jnp.asarray(table))

    def __call__(self, tokens, *, context=None, key=None):
        return self.table[tokens]

    def empty_cache(self, batch, size=None):
        return ()

    def extend(self, tokens, cache, *, context=None):
        return self.table[tokens], cache


def test_log_prob_is_that_of_a_markov_chain(x64):
    """log π(x_1) + Σ log P(x_i | x_i−1), token by token: the start symbol comes first."""
    model = language.LanguageModel(Markov(np.vstack([CHAIN, STATIONARY])), 2, 4)
    x = np.array(list(itertools.product(range(2), repeat=4)), np.uint8)
    each = np.log(np.hstack([STATIONARY[x[:, :1]], CHAIN[x[:, :-1], x[:, 1:]]]))
    got = jax.jit(lambda x: language.log_prob_by_token(model, x))(jnp.asarray(x))
    np.testing.assert_allclose(got, each, rtol=1e-12)
    np.testing.assert_allclose(language.log_prob(model, jnp.asarray(x)), each.sum(1), rtol=1e-12)
    loss, metrics = language.loss(model, jnp.asarray(x), jax.random.key(0))
    np.testing.assert_allclose(loss, -each.mean(), rtol=1e-12)
    np.testing.assert_allclose(metrics["log_prob"], each.sum(1).mean(), rtol=1e-12)
    np.testing.assert_allclose(metrics["bits_per_token"], -each.mean() / np.log(2), rtol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_probabilities_of_all_sequences_sum_to_one(name, x64, language_model):
    """Σ p(x) = 1 over 3^5 sequences, and over those that end, to 1e-12."""
    model, x = language_model(name), jnp.asarray(ALL)

    @jax.jit
    def both(model):
        ended = language.log_prob(model, x, mask=language.until(x, 2))
        return language.log_prob(model, x), ended

    whole, ended = map(np.asarray, both(model))
    assert abs(np.exp(whole).sum() - 1) < 1e-12
    one_each = [not (2 in row and (row[list(row).index(2) :] != 2).any()) for row in ALL]
    assert abs(np.exp(ended[one_each]).sum() - 1) < 1e-12
    assert whole.std() > 0.3


@pytest.mark.parametrize("name", KINDS)
def test_no_token_sees_a_later_one(name, kinds):
    """In 200 random models, other tokens from j on change nothing before j, not by a bit."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: language.LanguageModel(kinds[name](), K, T))
    models = jax.tree.map(
        lambda s: jnp.asarray(rng.normal(size=(200, *s.shape)), jnp.float32), shapes
    )
    x = rng.integers(K, size=(200, T))
    first = rng.integers(T, size=(200, 1))
    other = np.where(np.arange(T) >= first, (x + rng.integers(1, K, size=x.shape)) % K, x)

    @jax.jit
    def both(models, x, other):
        def each(model, pair):
            return language.log_prob_by_token(model, pair)

        return jax.vmap(each)(models, jnp.stack([x, other], axis=1))

    found = np.asarray(both(models, jnp.asarray(x), jnp.asarray(other)))
    change = np.abs(found[:, 0] - found[:, 1])
    assert change[np.arange(T) < first].max() == 0.0
    assert (change[np.arange(T) == first] > 1e-6).mean() > 0.95


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_ragged_sequences_are_scored_as_if_alone(name, x64, language_model):
    """Padding of any kind is worth 0 nats and has finite slopes; the loss is a mean over tokens.

    A batch without a token costs nothing.
    """
    model, n = language_model(name), np.array([2, 5, 5, 2])
    x, mask = ALL[[7, 100, 200, 242]], np.arange(T) < n[:, None]
    padded = jnp.asarray(np.where(mask, x, [[-7], [99], [K], [0]]))

    @jax.jit
    def everything(model, padded, mask):
        batch = {"x": padded, "mask": mask}
        loss = jax.value_and_grad(lambda m: language.loss(m, batch, jax.random.key(0))[0])
        none = language.loss(model, batch | {"mask": mask & False}, jax.random.key(0))[0]
        return none, language.log_prob_by_token(model, padded, mask=mask), loss(model)

    none, each, (loss, slope) = everything(model, padded, jnp.asarray(mask))
    score = jax.jit(language.log_prob)
    alone = np.empty(4)
    for own in (2, 5):
        alone[n == own] = score(model, jnp.asarray(x[n == own, :own]))
    np.testing.assert_allclose(each.sum(1), alone, rtol=1e-11)
    np.testing.assert_array_equal(np.asarray(each)[~mask], 0)
    np.testing.assert_allclose(loss, -alone.sum() / n.sum(), rtol=1e-11)
    assert none == 0
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_what_is_masked_in_front_is_context(x64, language_model):
    """Tokens that do not count are still read by those behind them."""
    model, x = language_model("modern"), jnp.asarray(ALL)
    mask = jnp.broadcast_to(jnp.arange(T) >= 2, x.shape)
    score = jax.jit(language.log_prob_by_token)
    whole, tail = (score(model, x, mask=m) for m in (None, mask))
    np.testing.assert_array_equal(tail, jnp.where(mask, whole, 0.0))


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_a_context_moves_the_law_and_zeros_do_not(name, x64, language_model):
    """p(x | c) is a law for every c; a batch carries c; no c is a c of zeros."""
    model, x = language_model(name, n_context=2), jnp.asarray(ALL)
    c = jnp.broadcast_to(jnp.asarray([1.0, -2.0]), (len(ALL), 2))

    @jax.jit
    def everything(model):
        found = [language.log_prob(model, x, context=y) for y in (c, jnp.zeros_like(c), None)]
        return found, language.loss(model, {"x": x, "y": c}, jax.random.key(0))[0]

    (told, nothing, untold), loss = everything(model)
    np.testing.assert_array_equal(nothing, untold)
    assert jnp.abs(told - untold).min() > 1e-6
    assert abs(float(jnp.exp(told).sum()) - 1) < 1e-12
    np.testing.assert_allclose(loss, -told.mean() / T, rtol=1e-12)


def draw_chain(key, n, length):
    """Sequences of the chain from its stationary law, by inverting distribution functions."""
    u = jax.random.uniform(key, (length, n))
    ones = jnp.asarray([0.1, 0.7])

    def step(x, u):
        x = (u < ones[x]).astype(jnp.int32)
        return x, x

    first = (u[0] < 0.25).astype(jnp.int32)
    return jnp.concatenate([first[None], jax.lax.scan(step, first, u[1:])[1]]).T


def cross_entropy(model, length):
    """Σ_x p(x) (−log q(x_2 … x_T | x_1))/(T − 1), p the chain: no estimate."""
    x = np.array(list(itertools.product(range(2), repeat=length)))
    p = STATIONARY[x[:, 0]] * CHAIN[x[:, :-1], x[:, 1:]].prod(1)
    each = np.asarray(jax.jit(language.log_prob_by_token)(model, jnp.asarray(x)), "f8")
    return -(p @ each[:, 1:].sum(1)) / (length - 1)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_training_finds_the_entropy_rate(name):
    """On P = [[.9, .1], [.3, .7]]: within 0.005 nats of 0.396528, which no law can go below."""
    length = 8
    network = {
        "lstm": lambda: TokenRecurrent(LSTM, 3, (8,), 2, rngs=nnx.Rngs(0)),
        "transformer": lambda: Transformer(
            3, 8, 1, 2, 2, length=length, causal=True, rngs=nnx.Rngs(0)
        ),
    }[name]
    rule = descend(language.loss, adam(0.02))

    @jax.jit
    def run():
        model = language.LanguageModel(network(), 2, length)
        graph, start = nnx.split(model)

        def step(carry, i):
            data_key, key = jax.random.split(jax.random.fold_in(jax.random.key(1), i))
            x = draw_chain(data_key, 256, length)
            model, memory, _ = rule.update(nnx.merge(graph, carry[0]), carry[1], x, key)
            return (nnx.state(model), memory), None

        carry = start, rule.init(model, jax.random.key(0))
        return nnx.merge(graph, jax.lax.scan(step, carry, jnp.arange(300))[0][0])

    found = cross_entropy(run(), length)
    assert ENTROPY_RATE - 1e-6 < found < ENTROPY_RATE + 0.005


def test_dropout_takes_its_key_from_the_loss(language_model):
    """Two keys, two losses; without dropout the key does not matter."""
    x = jnp.asarray(ALL)
    for name, options, same in (("lstm", {"dropout": 0.5}, False), ("transformer", {}, True)):
        model = language_model(name, jnp.float32, **options)
        value = jax.jit(lambda m, key: language.loss(m, x, key)[0])
        first, second = (value(model, jax.random.key(i)) for i in range(2))
        assert (first == second) == same


def test_nan_is_never_a_finite_loss(language_model):
    """Of a token that does not exist, the start symbol among them, and of broken weights."""
    model, x = language_model("gru", jnp.float32), jnp.asarray(ALL)
    value = jax.jit(lambda model, x: language.loss(model, x, jax.random.key(0))[0])
    assert np.isfinite(value(model, x))
    for wrong in (K, K + 1, -1):
        for i in (0, T - 1):
            assert np.isnan(value(model, x.at[3, i].set(wrong)))
    model.network.last.bias[...] = jnp.full(K, jnp.nan)
    assert np.isnan(value(model, x))


def test_what_does_not_fit_is_refused(kinds, language_model):
    model, x = language_model("transformer", jnp.float32), jnp.asarray(ALL)
    wide = language.LanguageModel(model.network, K + 1, T)
    for message, call in {
        "n_tokens, length: expected positive": lambda: language.LanguageModel(model.network, 0, 3),
        "network: expected one that reads 6 tokens, got 5": lambda: language.LanguageModel(
            model.network, K, 6
        ),
        "length: expected 1 to 5 tokens, got 6": lambda: language.log_prob(
            model, jnp.zeros((2, 6), int)
        ),
        r"mask: expected shape \(243, 5\), got \(1, 5\)": lambda: language.log_prob(
            model, x, mask=jnp.ones((1, 5), bool)
        ),
        r"network: expected logits of shape \(243, 5, 4\)": lambda: language.log_prob(wide, x),
        "context: expected 0 features, got 2": lambda: language.log_prob(
            model, x, context=jnp.zeros((243, 2))
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
