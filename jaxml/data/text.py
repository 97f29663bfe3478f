# SPDX-License-Identifier: Apache-2.0
"""Text as sequences of numbers: bytes, characters or words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxml.data.bounded import Path, opened, read_exactly
from jaxml.data.error import DataError

MAX_BYTES = 2**30
UNKNOWN = "<unk>"
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_WORD_OR_MARK = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class Vocabulary(NamedTuple):
    """Symbols and their numbers.

    Attributes:
      symbols: By number; the first is the unknown symbol if `unknown`.
      unknown: Whether symbols outside the vocabulary have number 0.
    """

    symbols: tuple[str, ...]
    unknown: bool

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """int32 numbers of the tokens.

        Raises:
          ValueError: If a token is not in a vocabulary without an unknown symbol.
        """
        number = {symbol: i for i, symbol in enumerate(self.symbols)}
        if self.unknown:
            return np.array([number.get(token, 0) for token in tokens], np.int32)
        try:
            return np.array([number[token] for token in tokens], np.int32)
        except KeyError as error:
            raise ValueError(f"tokens: {error} is not in the vocabulary") from None

    def decode(self, numbers: Iterable[int] | np.ndarray) -> list[str]:
        """The tokens of the numbers."""
        return [self.symbols[int(number)] for number in numbers]

    def text(self, numbers: Iterable[int] | np.ndarray) -> str:
        """The text of numbers of characters; for words, join what `decode` gives."""
        return "".join(self.decode(numbers))


def vocabulary(
    tokens: Iterable[str], *, min_count: int = 1, max_size: int | None = None, unknown: bool = True
) -> Vocabulary:
    """The distinct tokens, most frequent first and equals in alphabetical order.

    Args:
      tokens: Of the training text alone.
      min_count: Leave rarer tokens out.
      max_size: Keep at most so many symbols, the unknown one included.
      unknown: Give number 0 to everything else.
    """
    count = Counter(tokens)
    common = sorted(
        (token for token in count if count[token] >= min_count and token != UNKNOWN),
        key=lambda token: (-count[token], token),
    )
    symbols = ([UNKNOWN] if unknown else []) + common
    return Vocabulary(tuple(symbols[:max_size]), unknown)


def words(text: str, *, lower: bool = True, punctuation: bool = False) -> list[str]:
    """The words of a text, with inner apostrophes; optionally each punctuation mark too."""
    pattern = _WORD_OR_MARK if punctuation else _WORD
    return pattern.findall(text.lower() if lower else text)


def as_bytes(text: str) -> np.ndarray:
    """The UTF-8 bytes of a text as uint8, what `read_bytes` gives of a file."""
    return np.frombuffer(text.encode(), np.uint8)


def from_bytes(numbers: Iterable[int] | np.ndarray) -> str:
    """The text of UTF-8 bytes; what is none, as a model may write, becomes �."""
    return bytes(int(number) for number in numbers).decode("utf-8", "replace")


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The bytes of a file as uint8: a text over 256 symbols, whatever its encoding.

    Raises:
      DataError: If the file is missing, empty or too large.
    """
    with opened(path, max_bytes) as (file, size):
        if size == 0:
            raise DataError(path, "is empty")
        return np.frombuffer(read_exactly(file, size, path, "the text"), np.uint8)


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """The characters of a UTF-8 file without its byte order mark, every line end a line feed.

    Raises:
      DataError: If the file is missing, empty, too large or not UTF-8.
    """
    raw = read_bytes(path, max_bytes=max_bytes).tobytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            path, f"is not UTF-8: byte {error.start} is {raw[error.start]:#x}"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def windows(
    tokens: np.ndarray | Sequence[int], length: int, *, stride: int | None = None
) -> np.ndarray:
    """Rows tokens[k·stride : k·stride + length]: a long sequence as examples, a view of it.

    Args:
      tokens: One sequence.
      length: Of every row. A language model of context T takes T + 1.
      stride: From row to row; `length` by default, so that rows do not overlap. The tokens after
        the last whole row are left out.

    Raises:
      ValueError: If there is no whole row.
    """
    tokens = np.asarray(tokens)
    stride = length if stride is None else stride
    if not 1 <= length <= len(tokens) or stride < 1:
        raise ValueError(
            f"length, stride: expected 1 to {len(tokens)} tokens and at least 1, "
            f"got {length} and {stride}"
        )
    return np.lib.stride_tricks.sliding_window_view(tokens, length)[::stride]


__all__ = [
    "UNKNOWN",
    "Vocabulary",
    "as_bytes",
    "from_bytes",
    "read_bytes",
    "read_text",
    "vocabulary",
    "windows",
    "words",
]
