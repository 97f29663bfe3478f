# SPDX-License-Identifier: Apache-2.0
"""An option holds a value of its kind and range, unchanged, or is refused in one line."""

import math
from typing import Annotated, Literal

import pytest

from experiments.options import (
    LONGEST,
    ConfigError,
    Count,
    Decay,
    Fraction,
    Natural,
    NonNegative,
    Positive,
    Range,
    conform,
    from_words,
)

INF, NAN = math.inf, math.nan
TEXT, PAIR, MANY = str, tuple[int, float], tuple[Count, ...]
MODE = Literal["never", "auto"]

ACCEPTED = [
    (int, 3, 3), (int, -(2**63), -(2**63)), (Count, 1, 1), (Natural, 0, 0),
    (float, 0.5, 0.5), (float, 3, 3.0), (Decay, 0, 0.0), (Fraction, 1, 1.0),
    (Positive, 5e-324, 5e-324), (NonNegative, 0.0, 0.0), (bool, False, False), (TEXT, "010", "010"),
    (TEXT, "no", "no"), (TEXT, "", ""), (TEXT, "héllo ∑", "héllo ∑"),
    (TEXT, "x" * LONGEST, "x" * LONGEST),
    (PAIR, [1, 2], (1, 2.0)), (MANY, [], ()), (MANY, [3, 4], (3, 4)), (MODE, "auto", "auto"),
    (Positive | None, None, None), (Positive | None, 2, 2.0), (MANY | None, None, None),
]  # fmt: skip
REFUSED = [
    (int, 1.0), (int, 1.5), (int, True), (int, "3"), (int, None), (int, 2**63), (int, -(2**63) - 1),
    (Count, 0), (Count, -3), (Natural, -1), (float, "0.5"), (float, False), (float, NAN),
    (float, INF), (float, -INF), (float, 10**400), (Positive, 0), (Decay, 1.0), (Decay, -0.1),
    (Fraction, 1.1), (NonNegative, -1e-9), (bool, 1), (bool, "yes"), (bool, None), (TEXT, 3),
    (TEXT, "a\nb"), (TEXT, "\x1b[31m"), (TEXT, "\ud800"), (TEXT, "\u202e"), (TEXT, "\0"),
    (TEXT, "x" * (LONGEST + 1)), (PAIR, [1]), (PAIR, [1, 2, 3]), (PAIR, "12"), (PAIR, 1),
    (PAIR, [1.0, 2]), (MANY, [3, 0]), (MANY, [[3]]), (MANY, [1] * (LONGEST + 1)), (MANY, {"a": 1}),
    (MODE, "Auto"), (MODE, 1), (Literal[1], True), (Positive | None, "None"), (Positive | None, 0),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "expected"), ACCEPTED)
def test_a_value_of_its_kind_is_kept(annotation, value, expected):
    """Nothing is coerced except an integer given for a float, which becomes one."""
    got = conform(annotation, value, "key")
    assert got == expected
    assert type(got) is type(expected)
    if isinstance(expected, tuple):
        assert [type(x) for x in got] == [type(x) for x in expected]


@pytest.mark.parametrize(("annotation", "value"), REFUSED)
def test_any_other_value_is_refused_in_one_line(annotation, value):
    """The line is printable ASCII of bearable length and starts with the key."""
    with pytest.raises(ConfigError) as refusal:
        conform(annotation, value, "group.key")
    line = str(refusal.value)
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 250
    assert line.startswith("group.key")


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Range(), ""),
        (Range(least=1), ">= 1"),
        (Range(above=0), "> 0"),
        (Range(least=0, below=1), ">= 0 and < 1"),
        (Range(above=-2, most=0.5), "> -2 and <= 0.5"),
    ],
)
def test_a_range_reads_as_its_inequalities(bounds, text):
    """A refusal tells the bounds as inequalities, open ends strict."""
    assert str(bounds) == text


def test_an_open_end_excludes_itself_and_a_closed_one_does_not():
    """`least` and `most` belong to the range, `above` and `below` do not."""
    assert [x in Range(least=0, most=1) for x in (-0.1, 0, 1, 1.1)] == [False, True, True, False]
    assert [x in Range(above=0, below=1) for x in (0, 0.1, 0.9, 1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("annotation", "words", "expected"),
    [
        (float, ["1e-3"], 1e-3), (float, ["-2.5E+2"], -250.0), (float, ["3"], 3), (int, ["-4"], -4),
        (Count, ["12"], 12), (str, ["010"], "010"), (str, ["None"], "None"), (str, ["1e3"], "1e3"),
        (Positive | None, ["None"], None), (Positive | None, ["2"], 2), (MANY, ["3", "4"], [3, 4]),
        (MANY, [], []), (PAIR, ["1", "2.5"], [1, 2.5]), (tuple[bool, ...], ["True"], [True]),
    ],
)  # fmt: skip
def test_words_read_as_json_reads_them(annotation, words, expected):
    """A number is spelled as in JSON, and a text stays as it was typed."""
    got = from_words(annotation, words, "--key")
    assert got == expected
    assert type(got) is type(expected)


WRONG_NUMBERS = [
    "010", "-01", "1_000", "+5", ".5", "5.", "0x10", " 5", "5 ", "٣", "１", "nan", "inf", "-inf",
    "1e", "1e999", "no", "True", "", "1,000", "--", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("word", WRONG_NUMBERS)
def test_what_python_would_coerce_is_no_number_here(kind, word):
    """`int()` and `float()` take padding, underscores, other scripts and nan; options do not."""
    with pytest.raises(ConfigError, match="--key"):
        conform(kind, from_words(kind, [word], "--key"), "--key")


@pytest.mark.parametrize("annotation", [dict, list[int], complex, int | str, Annotated[bytes, 1]])
def test_a_kind_that_no_option_has_is_a_mistake_in_the_program(annotation):
    """An unsupported annotation raises TypeError: its author must see it, not the user."""
    with pytest.raises(TypeError):
        conform(annotation, 1, "key")
