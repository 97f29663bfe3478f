# SPDX-License-Identifier: Apache-2.0
"""Laws of shown text: nothing invisible, no secret, and everything else as it was."""

import time
import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest

from jaxml.training.report.text import LIMIT, MASK, clean, entries, masked, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x08c\x7fd\x9be", "abcde"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("run\u202egnp.exe", "rungnp.exe"),
        ("a\u2066b\u200bc\ufeffd\u2028e", "abcde"),
        ("half \ud800 pair", "half  pair"),
        ("−86.9 ± 0.2 nats, Fréchet, 8 × 8, 数字", "−86.9 ± 0.2 nats, Fréchet, 8 × 8, 数字"),
        (3.5, "3.5"),
    ],
)
def test_what_is_invisible_is_taken_out(text, seen):
    """Terminal escapes, control and direction characters vanish; letters of any script stay."""
    assert clean(text) == seen


@hypothesis.given(st.text(st.characters(codec=None)))
def test_clean_text_holds_no_control_characters(text):
    """Whatever comes, what is left can be encoded, has no control character and is stable."""
    seen = clean(text)
    seen.encode()
    assert all(c in "\n\t" or unicodedata.category(c)[0] != "C" for c in seen)
    assert clean(seen) == seen


@pytest.mark.parametrize(
    "text",
    [
        "--api-key=hunter2",
        "--api_key hunter2",
        "--password 'hunter2 hunter2'",
        '--db-password="hunter2 hunter2"',
        "HF_TOKEN=hunter2 python train.py",
        "https://user:hunter2@host/path",
        "postgres+ssl://hunter2@host",
        "HTTPS://Hunter2:hunter2@host",
        "https://host/x?access_token=hunter2&page=1",
        '{"client_secret": "hunter2"}',
        "aws_credential = hunter2",
        "PRIVATE_KEY:hunter2",
        "--\x1b[1mtoken=\x1b[0mhunter2",
    ],
)
def test_secrets_are_masked_in_text(text):
    """Options, assignments, entries, query parameters and URL users lose their value."""
    assert "hunter2" not in masked(text)
    assert MASK in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "python -m experiments train vae_digits --seed 0 --steps 2000",
        "https://host/path?page=1",
        "tokenization by words, 512 tokens a line",
        "mail me at a@b.c",
        "--token --verbose",
    ],
)
def test_other_text_is_left_as_it_is(text):
    """Without a value given to a secret name nothing is masked."""
    assert masked(text) == text


@pytest.mark.parametrize(
    "piece", ["a", "token", "--", "a.", "a-", "://", "--token ", "token=", "\x1b", "\x1b[0", "\"'"]
)
def test_no_text_takes_long(piece):
    """A million hostile characters are cut and shown within seconds, not hours."""
    start = time.perf_counter()
    assert len(masked(piece * (1_000_000 // len(piece)))) <= 2 * LIMIT
    assert time.perf_counter() - start < 5


def test_secret_entries_are_masked_at_any_depth():
    """The value under a secret name is hidden, whatever its type and depth; names are kept."""
    found = entries(
        {
            "seed": 0,
            "n_tokens": 512,
            "access_tokens": ["hunter2"],
            "Password": 1234,
            "data": {"apiKey": "hunter2", "dir": "s3://k:hunter2@b", "private": {"x": "hunter2"}},
        }
    )
    assert found == {
        "seed": "0",
        "n_tokens": "512",
        "access_tokens": MASK,
        "Password": MASK,
        "data.apiKey": MASK,
        "data.dir": f"s3://{MASK}@b",
        "data.private": MASK,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (1e-3, "0.001"),
        (1e-12, "1e-12"),
        ((256, 128), "256, 128"),
        ([], "empty"),
        ({"a": [1, None]}, "a: 1, none"),
        ("text", "text"),
    ],
)
def test_values_are_shown_as_a_person_writes_them(value, text):
    """No Python syntax reaches the reader."""
    assert shown(value) == text
