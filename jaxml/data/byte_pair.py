# SPDX-License-Identifier: Apache-2.0
"""Byte pairs: a vocabulary between characters and words that can spell everything.

What joins bytes is the `tokenizers` library, of the `text` extra.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

BYTES = 256


class BytePairs(NamedTuple):
    """Tokens made of bytes.

    Attributes:
      description: the tokenizer as JSON, which is all there is to keep or to compare.
    """

    description: str

    @property
    def n_tokens(self) -> int:
        """How many tokens there are."""
        return _tokenizer(self.description).get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        """int32 numbers of the tokens of a text.

        Reference: Sennrich, Haddow and Birch 2016, section 3.2, arXiv:1508.07909; on bytes, Radford
        et al. 2019, Language models are unsupervised multitask learners, section 2.2.
        """
        return np.array(_tokenizer(self.description).encode(text).ids, np.int32)

    def decode(self, numbers: Iterable[int] | np.ndarray) -> str:
        """The text of the numbers; what is no UTF-8, as a model may write, becomes �.

        Raises:
          ValueError: If a number is no token.
        """
        values, n = [int(number) for number in numbers], self.n_tokens
        if values and not 0 <= min(values) <= max(values) < n:
            raise ValueError(f"numbers: expected 0 to {n - 1}, got {min(values)} to {max(values)}")
        return _tokenizer(self.description).decode(values)


def byte_pairs(text: str, n_tokens: int) -> BytePairs:
    """Learn pairs: the most frequent one of neighbours becomes a token, again and again.

    No token reaches over the end of a word. Fewer are learned than asked for where no pair occurs
    twice.

    Args:
      text: The training text alone.
      n_tokens: At most so many, the 256 bytes included.

    Raises:
      ValueError: If there are fewer tokens than bytes.
      ImportError: Without the `text` extra.

    Reference: Gage 1994, A new algorithm for data compression; Sennrich, Haddow and Birch 2016,
    section 3.2, arXiv:1508.07909.
    """
    if n_tokens < BYTES:
        raise ValueError(f"n_tokens: expected at least {BYTES}, got {n_tokens}")
    library = _library()
    found = library.Tokenizer(library.models.BPE())
    found.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=n_tokens,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
    )
    found.train_from_iterator(text.splitlines(keepends=True), trainer)
    return BytePairs(found.to_str())


@cache
def _tokenizer(description: str) -> Any:
    return _library().Tokenizer.from_str(description)


def _library() -> Any:
    """`tokenizers`, or an error that says where to get it."""
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("byte pairs need the extra `text`: pip install jaxml[text]") from error
    return tokenizers


__all__ = ["BytePairs", "byte_pairs"]
