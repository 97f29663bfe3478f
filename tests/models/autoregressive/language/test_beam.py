# SPDX-License-Identifier: Apache-2.0
"""Beam search against all sequences, written out."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.models.autoregressive import language

K, T = 3, 4
ALL = np.array(list(itertools.product(range(K), repeat=T)))


def ranked(model, **options):
    """Every sequence of four tokens, the likeliest first, and its probability in nats."""
    score = jax.jit(language.log_prob_by_token)
    each = np.asarray(score(model, jnp.asarray(ALL), **options))
    order = np.argsort(-each.sum(1))
    return ALL[order], each[order]


@pytest.mark.parametrize("name", ["lstm", "modern"])
def test_with_all_beams_it_is_exhaustive(name, x64, language_model):
    """81 beams give all 81 sequences in order, to 1e-10; a 100 more are −inf."""
    model = language_model(name)
    found = jax.jit(lambda m: language.beam_search(m, 100, length=T))(model)
    x, each = ranked(model)
    np.testing.assert_array_equal(found.tokens[0, :81], x)
    np.testing.assert_allclose(found.log_prob[0, :81], each.sum(1), atol=1e-10)
    assert (found.log_prob[0, 81:] == -jnp.inf).all()


def by_hand(model, n_beams):
    """The search with lists, every prefix read from its start."""
    beams = [((), 0.0)]
    score = jax.jit(language.log_prob_by_token)
    x = jnp.asarray(ALL)
    each = np.asarray(score(model, x))
    for i in range(T):
        further = {}
        for prefix, _ in beams:
            for row, p in zip(ALL, each, strict=True):
                if tuple(row[:i]) == prefix:
                    further[tuple(row[: i + 1])] = p[: i + 1].sum()
        beams = sorted(further.items(), key=lambda item: -item[1])[:n_beams]
    return np.array([prefix for prefix, _ in beams]), np.array([p for _, p in beams])


@pytest.mark.parametrize("n_beams", [1, 2, 5])
def test_few_beams_are_those_of_a_search_by_hand(n_beams, x64, language_model):
    """At every length the best n prefixes live on, and no other: one beam is greedy."""
    for name in ("gru", "transformer"):
        model = language_model(name)
        found = jax.jit(partial(language.beam_search, n_beams=n_beams, length=T))(model)
        x, p = by_hand(model, n_beams)
        np.testing.assert_array_equal(found.tokens[0], x)
        np.testing.assert_allclose(found.log_prob[0], p, atol=1e-10)


def test_prompts_and_contexts_are_searched_one_by_one(x64, language_model):
    """Two prompts with contexts of their own: each the exhaustive answer for its row."""
    model = language_model("gru", n_context=1)
    prompt, c = jnp.asarray([[0, 2], [1, 1]]), jnp.asarray([[1.0], [-2.0]])
    found = jax.jit(
        lambda m: language.beam_search(m, 9, length=T, prompt=prompt, context=c)
    )(model)  # fmt: skip
    for row in range(2):
        x, each = ranked(model, context=jnp.broadcast_to(c[row], (81, 1)))
        own = (x[:, :2] == np.asarray(prompt[row])).all(1)
        tail = each[own, 2:].sum(1)
        order = np.argsort(-tail)
        np.testing.assert_array_equal(found.tokens[row], x[own][order])
        np.testing.assert_allclose(found.log_prob[row], tail[order], atol=1e-10)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_stops_end_sequences_of_unequal_lengths(exponent, x64, language_model):
    """All sequences that end or fill the length, by log p/Tᵃ, behind the stop nothing but stops."""
    model = language_model("transformer")
    x = np.array([r for r in ALL if 2 not in r or (r[list(r).index(2) :] == 2).all()])
    mask = np.asarray(language.until(jnp.asarray(x), 2))
    p = jax.jit(language.log_prob)(model, jnp.asarray(x), mask=jnp.asarray(mask))
    order = np.argsort(-np.asarray(p) / mask.sum(1) ** exponent)
    search = partial(language.beam_search, n_beams=40, length=T, stop=2, exponent=exponent)
    found = jax.jit(search)(model)
    n = len(x)
    np.testing.assert_array_equal(found.tokens[0, :n], x[order])
    np.testing.assert_allclose(found.log_prob[0, :n], np.asarray(p)[order], atol=1e-10)
    assert (found.log_prob[0, n:] == -jnp.inf).all()


def test_what_does_not_fit_is_refused(language_model):
    model = language_model("gru", jnp.float32)
    for message, options in {
        "n_beams: expected at least 1, got 0": {"n_beams": 0},
        "exponent: expected at least 0, got -1.0": {"n_beams": 1, "exponent": -1.0},
        "prompt: expected fewer than 2 tokens, got 2": {
            "n_beams": 1,
            "prompt": jnp.zeros((1, 2), int),
            "length": 2,
        },
        "length: expected at least 1 token, got 0": {"n_beams": 1, "length": 0},
        "stop: expected a token below 3, got -1": {"n_beams": 1, "stop": -1},
    }.items():
        with pytest.raises(ValueError, match=message):
            language.beam_search(model, **options)
