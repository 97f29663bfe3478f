# SPDX-License-Identifier: Apache-2.0
"""Byte pairs: everything can be spelled, and what is learned is what a plain recount learns."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxml.data.byte_pair import BytePairs, byte_pairs

TEXT = (
    "low lower lowest, newer newest; wider widest low low\n\n  the lowest of the low: Grüße, ∞!\n"
    * 2
)
LEARNED = byte_pairs(TEXT, 290)


def recounted(text, n):
    """Pairs by counting the whole text anew for every token, with strings in place of numbers."""
    words = [[(b,) for b in p.encode()] for p in re.findall(r" ?\w+| ?[^\w\s]+|\s+", text)]
    number = {(b,): b for b in range(256)}
    pairs = []
    while len(pairs) < n - 256:
        count = Counter(pair for word in words for pair in itertools.pairwise(word))
        a, b = min(count, key=lambda p: (-count[p], number[p[0]], number[p[1]]))
        if count[a, b] < 2:
            break
        pairs.append((number[a], number[b]))
        number.setdefault(a + b, 256 + len(pairs) - 1)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == (a, b):
                    word[i : i + 2] = [a + b]
                i += 1
    return tuple(pairs)


def test_pairs_are_those_of_a_recount():
    """34 of them, ties by the smaller numbers."""
    assert len(LEARNED.pairs) == 34
    assert LEARNED.pairs == recounted(TEXT, 290)
    assert b" lowest" in LEARNED.spellings()


@given(st.text())
def test_every_text_comes_back(text):
    """decode ∘ encode = identity for any Unicode, seen in training or not."""
    assert LEARNED.decode(LEARNED.encode(text)) == text


def test_frequent_words_are_few_tokens():
    """The training text is shorter in tokens, and no token reaches over a word's end."""
    numbers = LEARNED.encode(TEXT)
    assert len(numbers) < 0.6 * len(TEXT.encode())
    assert numbers.dtype == np.int32
    assert numbers.max() < LEARNED.n_tokens == 290
    assert all(
        re.fullmatch(rb" ?[\w\x80-\xff]+| ?[^\w\s]+|\s+|.", s, re.S) for s in LEARNED.spellings()
    )


def test_learning_ends_where_nothing_repeats():
    """Nothing to join, no text, and only bytes."""
    assert byte_pairs("abc", 1000).pairs == ()
    assert byte_pairs("", 300).pairs == ()
    assert byte_pairs("aaaa", 300).pairs == ((97, 97),)
    assert BytePairs(()).encode("é").tolist() == [0xC3, 0xA9]


def test_broken_bytes_and_numbers():
    """Half a character is shown as such; a number that is no token is refused."""
    assert LEARNED.decode([0xC3]) == "�"
    assert LEARNED.decode([]) == ""
    with pytest.raises(ValueError, match="numbers: expected 0 to 289"):
        LEARNED.decode([290])
    with pytest.raises(ValueError, match="n_tokens: expected at least 256, got 5"):
        byte_pairs("", 5)
