# SPDX-License-Identifier: Apache-2.0
"""Byte pairs: everything can be spelled, and what is learned is what a plain recount learns."""

import itertools
import json
import re
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxml.data.byte_pair import BytePairs, byte_pairs

TEXT = "low lower lowest, newer newest; wider widest low\n\n  the lowest of the low: Grüße, ∞!\n"
LEARNED = byte_pairs(2 * TEXT, 290)


def merges(pairs):
    return [tuple(pair) for pair in json.loads(pairs.description)["model"]["merges"]]


def test_every_pair_that_is_joined_was_the_most_frequent():
    """A recount of ASCII words for every token: of pairs as frequent either may be taken."""
    text = "low low low low low lower lower newest newest newest newest newest newest wider wider"
    words = [list(word) for word in re.findall(r" ?\w+", text)]
    learned = merges(byte_pairs(text, 256 + 10))
    assert len(learned) == 10
    for a, b in learned:
        count = Counter(pair for word in words for pair in itertools.pairwise(word))
        joined = tuple(part.replace("Ġ", " ") for part in (a, b))
        assert count[joined] == max(count.values()) >= 2
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == joined:
                    word[i : i + 2] = ["".join(joined)]
                i += 1


@given(st.text())
def test_every_text_comes_back(text):
    """decode ∘ encode = identity for any Unicode, seen in training or not."""
    assert LEARNED.decode(LEARNED.encode(text)) == text


def test_frequent_words_are_few_tokens():
    """The training text is shorter in tokens, and numbers are below their count."""
    numbers = LEARNED.encode(TEXT)
    assert len(numbers) < 0.6 * len(TEXT.encode())
    assert numbers.dtype == np.int32
    assert numbers.max() < LEARNED.n_tokens == 290


def test_learning_ends_where_nothing_repeats():
    """Nothing to join, no text, and only bytes."""
    assert merges(byte_pairs("abc", 1000)) == []
    assert byte_pairs("", 300).n_tokens == 256
    assert len(byte_pairs("", 300).encode("é")) == 2


def test_the_description_is_all_there_is():
    """Learned anew it is the same, and from its text the same tokens come."""
    assert byte_pairs(2 * TEXT, 290) == LEARNED
    again = BytePairs(str(LEARNED.description))
    np.testing.assert_array_equal(again.encode(TEXT), LEARNED.encode(TEXT))


def test_broken_bytes_and_numbers():
    """Half a character is shown as such; a number that is no token is refused."""
    first, _ = byte_pairs("", 256).encode("é")
    assert byte_pairs("", 256).decode([int(first)]) == "�"
    assert LEARNED.decode([]) == ""
    with pytest.raises(ValueError, match="numbers: expected 0 to 289"):
        LEARNED.decode([290])
    with pytest.raises(ValueError, match="n_tokens: expected at least 256, got 5"):
        byte_pairs("", 5)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"jaxml\[text\]"):
        byte_pairs("", 256)
