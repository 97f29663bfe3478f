# SPDX-License-Identifier: Apache-2.0
"""Text: decoding inverts encoding, and vocabularies do not depend on chance."""

import numpy as np
import pytest

from jaxml.data.error import DataError
from jaxml.data.text import (
    UNKNOWN,
    as_bytes,
    from_bytes,
    read_bytes,
    read_text,
    vocabulary,
    windows,
    words,
)

TEXT = "To be, or not to be: that's the question. Grüße!\n"


def test_characters_decode_to_the_text():
    """decode ∘ encode = identity over a vocabulary of characters."""
    symbols = vocabulary(TEXT, unknown=False)
    assert len(symbols.symbols) == len(set(TEXT))
    assert "".join(symbols.decode(symbols.encode(TEXT))) == TEXT
    assert symbols.text(symbols.encode(TEXT)) == TEXT
    with pytest.raises(ValueError, match="'z' is not in the vocabulary"):
        symbols.encode("z")


def test_bytes_decode_to_the_text():
    """from_bytes ∘ as_bytes = identity; half a character is shown as such."""
    numbers = as_bytes(TEXT)
    assert numbers.dtype == np.uint8
    assert len(numbers) == len(TEXT) + 2  # two letters outside of ASCII
    assert from_bytes(numbers) == TEXT
    assert from_bytes(as_bytes("ü")[:1]) == "�"


def test_frequent_symbols_come_first_and_equals_alphabetically():
    found = vocabulary(words("b a c a b a d"))
    assert found.symbols == (UNKNOWN, "a", "b", "c", "d")
    assert vocabulary(words("d c b a")).symbols == vocabulary(words("a b c d")).symbols


def test_rare_and_unseen_tokens_become_the_unknown_one():
    found = vocabulary(words("a a a b b c"), min_count=2)
    assert found.symbols == (UNKNOWN, "a", "b")
    np.testing.assert_array_equal(found.encode(["a", "c", "zebra", "b"]), [1, 0, 0, 2])
    assert vocabulary(words("a a b c"), max_size=2).symbols == (UNKNOWN, "a")


def test_words_are_cut_at_everything_but_letters_and_apostrophes():
    expected = ["to", "be", "or", "not", "to", "be", "that's", "the", "question", "grüße"]
    assert words(TEXT) == expected
    assert words("A, b!", lower=False, punctuation=True) == ["A", ",", "b", "!"]


def test_files_are_read_as_bytes_and_as_characters(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeff".encode() + TEXT.replace("\n", "\r\n").encode())
    assert read_text(path) == TEXT
    assert read_bytes(path).tobytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"", "is empty"), (b"ab\xff", "is not UTF-8: byte 2 is 0xff"), (b"abcdef", "limit of 5")],
)
def test_other_files_are_refused(tmp_path, raw, reason):
    path = tmp_path / "t.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=reason):
        read_text(path, max_bytes=5)


def test_windows_cut_a_sequence_into_rows():
    tokens = np.arange(10)
    np.testing.assert_array_equal(windows(tokens, 3), [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(
        windows(tokens, 4, stride=3), [tokens[i : i + 4] for i in (0, 3, 6)]
    )
    with pytest.raises(ValueError, match="length, stride"):
        windows(tokens, 11)
