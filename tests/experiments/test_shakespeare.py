# SPDX-License-Identifier: Apache-2.0
"""How texts are scored: every character once, behind as many others as the protocol says."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import shakespeare
from jaxml.models.autoregressive import language

RNG = np.random.default_rng(0)
N = 5
TEXT = shakespeare.Text(
    np.arange(N),
    RNG.integers(N, size=300).astype(np.uint8),
    RNG.integers(N, size=2071).astype("u1"),
)
TABLE = np.log(RNG.dirichlet(np.ones(N), size=N + 1))


class Pairs:
    """Logits that look at one token back; the start symbol has the last row."""

    length = None

    def __call__(self, tokens, *, context=None, key=None):
        return jnp.asarray(TABLE, jnp.float32)[tokens]

    def empty_cache(self, batch, size=None):
        return ()

    def extend(self, tokens, cache, *, context=None):
        return self(tokens), cache


def test_windows_score_the_validation_text_in_a_row():
    """Tails of windows follow each other from its first character, each behind `context` more."""
    scored = shakespeare.with_context(TEXT, 7, 10)
    assert scored.x.shape == (207, 17)
    np.testing.assert_array_equal(scored.x[:, 7:].ravel(), TEXT.valid[:2070])
    np.testing.assert_array_equal(scored.x[0, :7], TEXT.train[-7:])
    np.testing.assert_array_equal(scored.x[1, :7], TEXT.valid[3:10])


@pytest.mark.parametrize("n_windows", [1, 40])
def test_the_evidence_is_the_sum_over_pairs(n_windows):
    """With a table of pairs: nats a character with context, and of windows by themselves."""
    model = language.LanguageModel(Pairs(), N, 8)
    scored = shakespeare.with_context(TEXT, 3, 8)
    scored = shakespeare.Scored(scored.x[:n_windows], 8)
    alone, seen = scored.x[:, 3:], []
    each, bits, nats = shakespeare.evaluate(
        scored, alone, "pairs", model, None, seen.append
    )  # fmt: skip
    inside = TABLE[scored.x[:, 2:-1], alone].sum(1)
    assert each.value == pytest.approx(-inside.mean() / 8, rel=1e-6)
    first = TABLE[N, alone[:, 0]] + TABLE[alone[:, :-1], alone[:, 1:]].sum(1)
    assert nats.value == pytest.approx(first.mean(), rel=1e-6)
    assert bits.value == pytest.approx(-first.mean() / 8 / np.log(2), rel=1e-6)
    assert seen[-1] == 2 * n_windows
    assert each.protocol["estimator"] == "exact, each behind 3 to 10 others"
    assert not each.higher_is_better


def test_counts_of_pairs_cost_what_they_cost():
    """−mean log (n_ab + 1)/(n_a + 5), pair by pair."""
    count = np.ones((N, N))
    for a, b in zip(TEXT.train, TEXT.train[1:], strict=False):
        count[a, b] += 1
    each = [
        np.log(count[a, b] / count[a].sum())
        for a, b in zip(TEXT.valid, TEXT.valid[1:], strict=False)
    ]
    assert shakespeare.pairs(TEXT) == pytest.approx(-np.mean(each))
