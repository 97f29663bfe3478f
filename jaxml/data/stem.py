# SPDX-License-Identifier: Apache-2.0
"""Porter's stemmer: the forms of an English word as one token."""

from functools import cache
from itertools import pairwise

# (suffix, replacement) by step; the longest matching suffix decides, whether it is replaced or not.
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize",
    "abli": "able", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize",
    "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful",
    "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP_3 = {
    "icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}  # fmt: skip
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip


@cache
def stem(word: str) -> str:
    """The stem of a lower-case English word; words of one or two letters stay as they are.

    M. F. Porter 1980, An algorithm for suffix stripping, Program 14(3): steps 1a to 5b, by name.
    """
    if len(word) <= 2:
        return word
    word = _step_1(word)
    word = _replace(word, _STEP_2, above=0)
    word = _replace(word, _STEP_3, above=0)
    return _step_5(_step_4(word))


def _step_1(word: str) -> str:
    """Plurals, -ed, -ing and a final y."""
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]

    if word.endswith("eed"):
        word = word[:-1] if _measure(word[:-3]) > 0 else word
    else:
        for suffix in ("ed", "ing"):
            if word.endswith(suffix) and _has_vowel(word[: -len(suffix)]):
                word = _tidy(word[: -len(suffix)])
                break

    if word.endswith("y") and _has_vowel(word[:-1]):
        word = f"{word[:-1]}i"
    return word


def _tidy(word: str) -> str:
    """After -ed and -ing: conflat -> conflate, hopp -> hop, fil -> file."""
    if word.endswith(("at", "bl", "iz")):
        return f"{word}e"
    if _doubled(word) and word[-1] not in "lsz":
        return word[:-1]
    if _measure(word) == 1 and _short_end(word):
        return f"{word}e"
    return word


def _replace(word: str, suffixes: dict[str, str], above: int) -> str:
    for suffix in sorted(suffixes, key=len, reverse=True):
        if word.endswith(suffix):
            start = word[: -len(suffix)]
            return start + suffixes[suffix] if _measure(start) > above else word
    return word


def _step_4(word: str) -> str:
    for suffix in sorted(_STEP_4, key=len, reverse=True):
        if word.endswith(suffix):
            start = word[: -len(suffix)]
            if suffix == "ion" and not start.endswith(("s", "t")):
                return word
            return start if _measure(start) > 1 else word
    return word


def _step_5(word: str) -> str:
    """A final e, and a final double l."""
    if word.endswith("e"):
        m = _measure(word[:-1])
        if m > 1 or (m == 1 and not _short_end(word[:-1])):
            word = word[:-1]
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word


def _consonants(word: str) -> list[bool]:
    """Whether each letter is a consonant: y is one at the start and after a vowel."""
    found: list[bool] = []
    for letter in word:
        if letter == "y":
            found.append(not found or not found[-1])
        else:
            found.append(letter not in "aeiou")
    return found


def _measure(word: str) -> int:
    """m of [C](VC)^m[V]: how often a vowel is followed by a consonant."""
    kinds = _consonants(word)
    return sum(not first and second for first, second in pairwise(kinds))


def _has_vowel(word: str) -> bool:
    return not all(_consonants(word))


def _doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _consonants(word)[-1]


def _short_end(word: str) -> bool:
    """Consonant, vowel, consonant at the end, the last not w, x or y: -wil, -hop."""
    return _consonants(word)[-3:] == [True, False, True] and word[-1] not in "wxy"


__all__ = ["stem"]
