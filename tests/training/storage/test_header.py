# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says of itself is read strictly."""

import json

import pytest

from jaxml.training.storage import header
from jaxml.training.storage.directory import CheckpointError
from jaxml.training.storage.header import Header
from jaxml.training.storage.manifest import DamagedError

FACTS = Header(7, 0.1, "ab" * 32, {"params/kernel": "float32[2, 3]"}, {"seed": 3, "é": [None]})


def write(root, **changes):
    facts = json.loads(header.dumps(FACTS)) | changes
    (root / header.FILE).write_text(json.dumps(facts))


def test_a_header_comes_back(tmp_path):
    """read(dumps(header)) is the header, with and without a score."""
    for facts in (FACTS, FACTS._replace(best=None), FACTS._replace(best=2)):
        (tmp_path / header.FILE).write_text(header.dumps(facts))
        assert header.read(tmp_path) == facts


def test_a_newer_format_is_refused_but_not_called_damaged(tmp_path):
    """A checkpoint of a later version is left for the later version."""
    write(tmp_path, version=header.VERSION + 1)
    with pytest.raises(CheckpointError, match="format version 2 is newer than 1") as caught:
        header.read(tmp_path)
    assert not isinstance(caught.value, DamagedError)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 0},
        {"version": "1"},
        {"version": True},
        {"step": "7"},
        {"step": 7.0},
        {"step": True},
        {"best": "low"},
        {"best": True},
        {"digest": None},
        {"leaves": []},
        {"leaves": {"a": 1}},
        {"metadata": None},
        {"more": 1},
    ],
)
def test_anything_else_is_damage(tmp_path, changes):
    """Each fact has its type, and there are no others."""
    write(tmp_path, **changes)
    with pytest.raises(DamagedError, match=r"metadata.json: is not a checkpoint's metadata"):
        header.read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{",
        "[" * 100_000,
        header.dumps(FACTS).replace('"seed": 3', '"seed": 3, "seed": 3'),
        header.dumps(FACTS).replace("0.1", "NaN"),
        header.dumps(FACTS).replace('"step"', '"stop"'),
        "\ud800",
    ],
)
def test_text_that_is_no_strict_json_is_damage(tmp_path, text):
    """Duplicate keys, NaN, deep nesting and bad UTF-8 are errors of one type."""
    (tmp_path / header.FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DamagedError):
        header.read(tmp_path)


def test_missing_linked_and_oversized_files_are_damage(tmp_path, monkeypatch):
    """Nothing is read through a link, nor beyond the limit."""
    with pytest.raises(DamagedError, match="No such file"):
        header.read(tmp_path)
    (tmp_path / "real").write_text(header.dumps(FACTS))
    (tmp_path / header.FILE).symlink_to("real")
    with pytest.raises(DamagedError, match="symbolic link"):
        header.read(tmp_path)
    (tmp_path / header.FILE).unlink()
    (tmp_path / "real").rename(tmp_path / header.FILE)
    monkeypatch.setattr(header, "LIMIT", (tmp_path / header.FILE).stat().st_size)
    assert header.read(tmp_path) == FACTS
    monkeypatch.setattr(header, "LIMIT", header.LIMIT - 1)
    with pytest.raises(DamagedError, match="longer than"):
        header.read(tmp_path)


def test_a_header_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    """Permission is no damage: the checkpoint would be set aside for nothing."""
    write(tmp_path)

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(header.Path, "read_bytes", denied)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied") as caught:
        header.read(tmp_path)
    assert not isinstance(caught.value, DamagedError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_metadata_that_json_cannot_express_is_refused_when_writing(value):
    """The caller learns it at the save, not at the resume."""
    with pytest.raises((TypeError, ValueError)):
        header.dumps(FACTS._replace(metadata={"x": value}))
