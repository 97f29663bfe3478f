# SPDX-License-Identifier: Apache-2.0
"""Byte pairs: a vocabulary between characters and words that can spell everything."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Pair = tuple[int, int]
BYTES = 256
_PIECE = re.compile(r" ?\w+| ?[^\w\s]+|\s+")
"""What pairs do not reach over: a word or marks with the blank before them, or other blanks."""


class BytePairs(NamedTuple):
    """Tokens made of bytes: 0 … 255 are bytes, and token 256 + i is the i-th pair, joined.

    Attributes:
      pairs: in the order in which they were learned.
    """

    pairs: tuple[Pair, ...]

    @property
    def n_tokens(self) -> int:
        """How many tokens there are."""
        return BYTES + len(self.pairs)

    def spellings(self) -> list[bytes]:
        """The bytes of every token."""
        found = [bytes([i]) for i in range(BYTES)]
        for a, b in self.pairs:
            found.append(found[a] + found[b])
        return found

    def encode(self, text: str) -> np.ndarray:
        """int32 numbers of the tokens of a text: in every piece the pair learned first is joined.

        Reference: Sennrich, Haddow and Birch 2016, section 3.2, arXiv:1508.07909; on bytes, Radford
        et al. 2019, Language models are unsupervised multitask learners, section 2.2.
        """
        rank = {pair: i for i, pair in enumerate(self.pairs)}
        known: dict[str, list[int]] = {}
        numbers: list[int] = []
        for piece in _PIECE.findall(text):
            if piece not in known:
                known[piece] = _joined(list(piece.encode()), rank)
            numbers += known[piece]
        return np.array(numbers, np.int32)

    def decode(self, numbers: Iterable[int] | np.ndarray) -> str:
        """The text of the numbers; what is no UTF-8, as a model may write, becomes �.

        Raises:
          ValueError: If a number is no token.
        """
        found = self.spellings()
        values = [int(number) for number in numbers]
        if values and not 0 <= min(values) <= max(values) < len(found):
            raise ValueError(f"numbers: expected 0 to {len(found) - 1}, got {values}")
        return b"".join(found[value] for value in values).decode("utf-8", "replace")


def byte_pairs(text: str, n_tokens: int) -> BytePairs:
    """Learn pairs: the most frequent one of neighbours becomes a token, again and again.

    Of equally frequent pairs the one with the smaller numbers is taken. Fewer tokens are learned
    than asked for where no pair occurs twice.

    Args:
      text: The training text alone.
      n_tokens: At most so many, the 256 bytes included.

    Raises:
      ValueError: If there are fewer tokens than bytes.

    Reference: Gage 1994, A new algorithm for data compression; Sennrich, Haddow and Birch 2016,
    section 3.2, arXiv:1508.07909.
    """
    if n_tokens < BYTES:
        raise ValueError(f"n_tokens: expected at least {BYTES}, got {n_tokens}")
    often = Counter(_PIECE.findall(text))
    words = [list(piece.encode()) for piece in often]
    times = list(often.values())
    total: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for i, word in enumerate(words):
        for pair in pairwise(word):
            total[pair] += times[i]
            places[pair].add(i)
    learned: list[Pair] = []
    while len(learned) < n_tokens - BYTES and total:
        best = min(total, key=lambda pair: (-total[pair], pair))
        if total[best] < 2:
            break
        new = BYTES + len(learned)
        learned.append(best)
        for i in places.pop(best):
            for pair in pairwise(words[i]):
                total[pair] -= times[i]
            words[i] = _replaced(words[i], best, new)
            for pair in pairwise(words[i]):
                total[pair] += times[i]
                places[pair].add(i)
        total = Counter({pair: n for pair, n in total.items() if n > 0})
    return BytePairs(tuple(learned))


def _replaced(word: list[int], pair: Pair, new: int) -> list[int]:
    """The word with every occurrence of the pair, from the left, as one token."""
    found: list[int] = []
    i = 0
    while i < len(word):
        here = tuple(word[i : i + 2]) == pair
        found.append(new if here else word[i])
        i += 2 if here else 1
    return found


def _joined(word: list[int], rank: dict[Pair, int]) -> list[int]:
    while len(word) > 1:
        first = min(pairwise(word), key=lambda pair: rank.get(pair, len(rank)))
        if first not in rank:
            break
        word = _replaced(word, first, BYTES + rank[first])
    return word


__all__ = ["BytePairs", "byte_pairs"]
