# SPDX-License-Identifier: Apache-2.0
"""Draws token by token: their law, their probabilities, prompts, truncation and stops."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from jaxml.models.autoregressive import language

K, T = 3, 5
KINDS = ["lstm", "gru", "transformer", "modern"]


def log_softmax(a):
    return a - np.log(np.exp(a).sum(-1, keepdims=True))


def probabilities(model, length):
    """All sequences of a length and their probabilities."""
    x = np.array(list(itertools.product(range(K), repeat=length)))
    return x, np.exp(np.asarray(jax.jit(language.log_prob)(model, jnp.asarray(x)), "f8"))


def counts(draws):
    n = draws.shape[1]
    return np.bincount(np.asarray(draws) @ K ** np.arange(n - 1, -1, -1), minlength=K**n)


@pytest.mark.parametrize("name", KINDS)
def test_draws_have_the_probabilities_of_the_model(name, x64, language_model):
    """log q of the sampler is log_prob to 1e-10, and so behind a prompt and behind ragged ones."""
    model, n = language_model(name), 40
    rng = np.random.default_rng(0)
    prompt, mask = (
        jnp.asarray(rng.integers(K, size=(n, 3))),
        np.arange(3) < rng.integers(4, size=(n, 1)),
    )

    @jax.jit
    def everything(model, key):
        draw = partial(language.sample_and_log_prob, model, n=n)
        one, two, three = jax.random.split(key, 3)
        found = [
            draw(key=one),
            draw(key=two, prompt=prompt),
            draw(key=three, prompt=prompt, prompt_mask=jnp.asarray(mask)),
        ]
        return [(x, log_q, language.log_prob_by_token(model, x)) for x, log_q in found]

    known = [np.zeros((n, 3), bool), np.ones((n, 3), bool), mask]
    for (x, log_q, each), kept in zip(everything(model, jax.random.key(0)), known, strict=True):
        drawn = ~np.pad(kept, ((0, 0), (0, 2)))
        np.testing.assert_allclose(log_q, (np.asarray(each) * drawn).sum(1), rtol=0, atol=1e-10)
        np.testing.assert_array_equal(np.asarray(x)[:, :3][kept], np.asarray(prompt)[kept])
        assert x.min() == 0
        assert x.max() == K - 1


@pytest.mark.parametrize("name", ["gru", "modern"])
def test_draws_have_the_law_of_the_model(name, language_model):
    """χ² over all sequences of three tokens, and over pairs behind two prompts: p > 1e-4."""
    model, n = language_model(name, jnp.float32), 20000
    prompt = jnp.asarray([[1, 2], [0, 0]]).repeat(n // 2, axis=0)

    @jax.jit
    def both(model, key):
        one, two = jax.random.split(key)
        return (
            language.sample(model, one, n, length=3),
            language.sample(model, two, n, length=4, prompt=prompt),
        )

    free, led = both(model, jax.random.key(0))
    x, p = probabilities(model, 3)
    assert chisquare(counts(free), n * p / p.sum()).pvalue > 1e-4
    x, p = probabilities(model, 4)
    for start, draws in zip(((1, 2), (0, 0)), np.split(np.asarray(led), 2), strict=True):
        own = p[(x[:, :2] == start).all(1)]
        assert chisquare(counts(draws[:, 2:]), n / 2 * own / own.sum()).pvalue > 1e-4


@pytest.mark.parametrize("name", KINDS)
def test_what_is_kept_gives_the_logits_of_the_whole(name, language_model):
    """A prompt of two, then one by one: the logits of one pass, to 1e-5 in single precision."""
    model = language_model(name, jnp.float32)
    x = jnp.asarray(np.random.default_rng(0).integers(K + 1, size=(6, T)))

    @jax.jit
    def both(net):
        def step(cache, token):
            logits, cache = net.extend(token[:, None], cache)
            return cache, logits[:, 0]

        first, cache = net.extend(x[:, :2], net.empty_cache(6, T))
        rest = jax.lax.scan(step, cache, x[:, 2:].T)[1].swapaxes(0, 1)
        return jnp.concatenate([first, rest], axis=1), net(x)

    grown, whole = both(model.network)
    np.testing.assert_allclose(grown, whole, atol=1e-5)
    assert np.ptp(whole) > 1


def test_truncation_and_temperature_are_those_of_every_step(x64, language_model):
    """log q of each draw is Σ log softmax of logits/τ, all but the two likeliest at −inf."""
    model = language_model("lstm")

    @jax.jit
    def draw(model, key):
        found = language.sample_and_log_prob(model, key, 50, temperature=0.6, top_k=2)
        start = jnp.full((50, 1), K)
        return *found, model.network(jnp.concatenate([start, found[0][:, :-1]], axis=1))

    x, log_q, logits = map(np.asarray, draw(model, jax.random.key(3)))
    cold = logits / 0.6
    kept = np.where(cold >= np.sort(cold, -1)[..., -2:-1], cold, -np.inf)
    expected = np.take_along_axis(log_softmax(kept), x[..., None], -1)[..., 0].sum(1)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(log_q, expected, atol=1e-12)


def test_every_option_reaches_the_draws(language_model):
    """Little temperature, one category, a small nucleus, a ratio of 1: each is greedy."""
    model = language_model("gru", jnp.float32)

    @jax.jit
    def draws(model, key):
        options = {"temperature": 1e-4}, {"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {}
        return [language.sample(model, jax.random.clone(key), 20, **o) for o in options]

    *greedy, free = draws(model, jax.random.key(0))
    for found in greedy:
        np.testing.assert_array_equal(found, jnp.broadcast_to(greedy[0][:1], (20, T)))
    assert (free != greedy[0]).any()


def test_a_stop_ends_a_sequence_for_good(x64, language_model):
    """Behind the first stop that was drawn there are stops, and log q is that of what ends there.

    A stop inside of a prompt is no end.
    """
    model, n = language_model("transformer"), 200
    prompt = jnp.asarray([[2, 1]]).repeat(n, axis=0)

    @jax.jit
    def everything(model, key):
        one, two, three = jax.random.split(key, 3)
        x, log_q = language.sample_and_log_prob(model, one, n, stop=2)
        ragged = jnp.ones_like(prompt, bool)
        draw = partial(language.sample_and_log_prob, model, n=n, stop=2, prompt=prompt)
        led = [draw(key=two), draw(key=three, prompt_mask=ragged)]
        counted = [jnp.pad(language.until(y[:, 2:], 2), ((0, 0), (2, 0))) for y, _ in led]
        found = [(x, 0, log_q, language.log_prob(model, x, mask=language.until(x, 2)))]
        for (y, log_q), mask in zip(led, counted, strict=True):
            found.append((y, 2, log_q, language.log_prob(model, y, mask=mask)))
        return found

    for x, start, log_q, log_p in everything(model, jax.random.key(0)):
        np.testing.assert_allclose(log_q, log_p, atol=1e-10)
        own = np.asarray(x)[:, start:]
        ended = np.cumsum(own == 2, axis=1) > 0
        assert (own[ended] == 2).all()
        assert 0 < ended[:, -1].mean() < 1
        assert (own[:, 0] != 2).any()


def test_one_program_serves_all_prompts_of_a_shape(language_model):
    """And all temperatures; a key names a draw, another key another one."""
    draw = jax.jit(
        lambda model, key, prompt, temperature: language.sample(
            model, key, 8, prompt=prompt, temperature=temperature
        )
    )
    model, found = language_model("modern", jnp.float32), []
    for start, heat, seed in ((0, 1.0, 0), (2, 1.0, 0), (0, 0.5, 0), (0, 1.0, 0), (0, 1.0, 1)):
        prompt = jnp.full((8, 2), start)
        found.append(draw(model, jax.random.key(seed), prompt, jnp.float32(heat)))
    assert draw._cache_size() == 1
    np.testing.assert_array_equal(found[0], found[3])
    assert (found[0] != found[4]).any()
    assert (found[0][:, 2:] != found[1][:, 2:]).any()


def test_a_context_reaches_every_step(x64, language_model):
    """log q with a context is log_prob with it, a row its own, behind a prompt too."""
    model, n = language_model("gru", n_context=2), 30
    c = jnp.asarray(np.random.default_rng(0).normal(size=(n, 2)))

    @jax.jit
    def everything(model, key):
        prompt = jnp.ones((n, 1), int)
        x, log_q = language.sample_and_log_prob(model, key, n, context=c, prompt=prompt)
        return log_q, language.log_prob_by_token(model, x, context=c)

    log_q, each = everything(model, jax.random.key(0))
    np.testing.assert_allclose(log_q, each[:, 1:].sum(1), atol=1e-10)


def test_recurrent_networks_go_on_beyond_the_length(language_model):
    """Their states have one size; a transformer refuses."""
    x = jax.jit(lambda m: language.sample(m, jax.random.key(0), 2, length=4 * T))(
        language_model("lstm", jnp.float32)
    )
    assert x.shape == (2, 20)
    with pytest.raises(ValueError, match="length: expected 1 to 5 tokens, got 6"):
        language.sample(language_model("modern"), jax.random.key(0), 2, length=6)


def test_what_does_not_fit_is_refused(language_model):
    model, key = language_model("gru", jnp.float32), jax.random.key(0)
    two = jnp.zeros((2, 2), int)
    for message, options in {
        r"prompt: expected 3 rows of less than 5 tokens, got \(2, 2\)": {"prompt": two},
        r"prompt: expected 3 rows of less than 2 tokens, got \(3, 2\)": {
            "prompt": jnp.zeros((3, 2), int),
            "length": 2,
        },
        r"prompt_mask: expected shape \(3, 1\), got \(3, 2\)": {
            "prompt": jnp.zeros((3, 1), int),
            "prompt_mask": jnp.ones((3, 2), bool),
        },
        "length: expected at least 1 token, got 0": {"length": 0},
        "stop: expected a token below 3, got 3": {"stop": 3},
        "temperature: expected": {"temperature": 0.0},
        "top_k: expected": {"top_k": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(partial(language.sample, n=3, **options), model, jax.random.clone(key))
