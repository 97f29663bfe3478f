# SPDX-License-Identifier: Apache-2.0
"""Checkpoints come and go by renames, and what is not ours is never touched."""

import errno
import os
import random

import pytest

from jaxml.training.storage import header, manifest, retention
from jaxml.training.storage.directory import CheckpointError
from jaxml.training.storage.header import Header


def make(directory, step, best=None):
    """A committed checkpoint with a little data."""
    path = retention.create(directory, step)
    (path / "arrays" / "d").mkdir(parents=True)
    (path / "arrays" / "d" / "data").write_bytes(bytes(range(100)))
    (path / header.FILE).write_text(header.dumps(Header(step, best, "", {}, {})))
    manifest.write(path)
    return retention.commit(path, step)


def damage(directory, step):
    (retention.place(directory, step) / "arrays" / "d" / "data").write_bytes(b"x")


def names(directory):
    return sorted(os.listdir(directory))


def test_a_step_is_named_with_nine_digits(tmp_path):
    """Names sort as steps do; a step without a name is refused."""
    assert retention.place(tmp_path, 5) == tmp_path / "000000005"
    assert retention.place(tmp_path, 999_999_999).name == "999999999"
    for step in (-1, 10**9):
        with pytest.raises(CheckpointError, match=f"step {step} is not within"):
            retention.place(tmp_path, step)


def test_only_committed_steps_are_listed(tmp_path):
    """Temporary, deleted, damaged and foreign names are no steps."""
    assert retention.steps(tmp_path / "missing") == ()
    for step in (20, 5, 100):
        make(tmp_path, step)
    retention.create(tmp_path, 7)
    for name in ("8", "0000000009", "000000010.damaged", "000000011x", "notes", "٠٠٠٠٠٠٠٠٩"):
        (tmp_path / name).mkdir()
    assert retention.steps(tmp_path) == (5, 20, 100)


def test_a_committed_step_cannot_be_replaced(tmp_path):
    """The rename fails where a checkpoint is, and both remain."""
    make(tmp_path, 5)
    path = retention.create(tmp_path, 5)
    with pytest.raises(OSError, match="not empty"):
        retention.commit(path, 5)
    assert path.is_dir()
    manifest.check(tmp_path / "000000005")


def test_a_directory_without_our_marker_is_not_committed(tmp_path):
    """What retention could not delete later does not become a checkpoint."""
    path = retention.create(tmp_path, 5)
    (path / retention.MARKER).unlink()
    with pytest.raises(FileNotFoundError, match=r"jaxml.checkpoint is gone"):
        retention.commit(path, 5)
    assert retention.steps(tmp_path) == ()


def test_a_commit_that_cannot_be_made_durable_is_taken_back(tmp_path, monkeypatch):
    """If the directory cannot be synchronized the step is not found afterwards."""
    path = retention.create(tmp_path, 5)

    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(retention, "sync", broken)
    with pytest.raises(OSError, match="Input/output"):
        retention.commit(path, 5)
    assert names(tmp_path) == []


def test_what_is_not_ours_is_not_deleted(tmp_path):
    """Without our name, our marker or a directory behind the name: refused and left."""
    ours = make(tmp_path, 1)
    (tmp_path / "000000002").mkdir()
    (tmp_path / "000000002" / "precious").touch()
    (tmp_path / "000000003").symlink_to(ours)
    (tmp_path / "000000004").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / retention.MARKER).touch()
    before = names(tmp_path)
    for name in ("000000002", "000000003", "000000004", "notes", "000000009"):
        with pytest.raises(CheckpointError, match=f"{name}: is not deleted"):
            retention.discard(tmp_path / name)
    retention.retain(tmp_path, 1, 1)
    assert names(tmp_path) == before
    manifest.check(ours)


def test_deleting_follows_no_link(tmp_path):
    """A link inside a checkpoint is removed; what it points to stays."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").touch()
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    path = make(directory, 1)
    (path / "link").symlink_to(tmp_path / "outside")
    (path / "arrays" / "link").symlink_to(tmp_path / "outside")
    retention.discard(path)
    assert names(directory) == []
    assert names(tmp_path / "outside") == ["precious"]


def test_clean_removes_what_a_kill_leaves_and_nothing_else(tmp_path):
    """Marked temporaries, marked trash and empty ones of our name go; all else stays."""
    retention.clean(tmp_path / "missing")
    kept = make(tmp_path, 1)
    retention.create(tmp_path, 2)
    (make(tmp_path, 3)).rename(tmp_path / ".trash-000000003-01234567")
    (tmp_path / ".tmp-000000004-01234567").mkdir()
    theirs = [".tmp-000000005-01234567", ".tmp-x", "notes", ".trash-000000006-0123456"]
    for name in theirs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
    (tmp_path / ".tmp-000000007-01234567").symlink_to(kept)
    (tmp_path / ".tmp-000000008-01234567").touch()
    retention.clean(tmp_path)
    left = {kept.name, *theirs, ".tmp-000000007-01234567", ".tmp-000000008-01234567"}
    assert set(names(tmp_path)) == left
    assert all(names(tmp_path / name) == ["precious"] for name in theirs)
    manifest.check(kept)


def test_setting_aside_never_overwrites(tmp_path):
    """The same step may be damaged again; every one of them is kept."""
    for expected in ("000000005.damaged", "000000005.damaged.1", "000000005.damaged.2"):
        make(tmp_path, 5)
        assert retention.set_aside(tmp_path, 5) == tmp_path / expected
    assert retention.steps(tmp_path) == ()
    assert len(names(tmp_path)) == 3


def test_the_best_step_has_the_lowest_score(tmp_path):
    """Steps without a score do not count, of equals the earlier wins, damage is passed over."""
    assert retention.best(tmp_path) is None
    for step, score in [(1, 3.0), (2, None), (3, -1.0), (4, -1.0), (5, 7)]:
        make(tmp_path, step, score)
    assert retention.best(tmp_path) == 3
    (tmp_path / "000000003" / header.FILE).write_text("{")
    assert retention.best(tmp_path) == 4


@pytest.mark.parametrize(
    ("scores", "keep", "good", "expected"),
    [
        ([None] * 6, 2, 6, [5, 6]),
        ([None] * 6, 1, 6, [6]),
        ([None] * 2, 3, 2, [1, 2]),
        ([5, 1, 2, 3, 4, 6], 2, 6, [2, 5, 6]),
        ([5, 4, 3, 2, 1, 0], 2, 6, [5, 6]),
        ([1, 1, 2, 2, 2, 2], 1, 6, [1, 6]),
        ([1, 1, 2, 2, 2, 2], 1, 3, [1, 3, 6]),
        ([], 1, 1, []),
    ],
)
def test_the_newest_the_best_and_the_good_one_stay(tmp_path, scores, keep, good, expected):
    """By hand: the `keep` newest, the lowest score and the one just read back, nothing else."""
    for step, score in enumerate(scores, 1):
        make(tmp_path, step, score)
    retention.retain(tmp_path, keep, good)
    assert list(retention.steps(tmp_path)) == expected
    assert len(names(tmp_path)) == len(expected)


class Killed(BaseException):
    """The process has ended here: no handler may clean up."""


CALLS = ["rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "open", "scandir", "lstat"]


def kill_at(monkeypatch, n):
    """Let the n-th system call of the file system, and every later one, end the process."""
    count = iter(range(10**9))

    def wrap(function):
        def call(*args, **kwargs):
            if next(count) >= n:
                raise Killed
            return function(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return count


def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path, monkeypatch):
    """Killed at each system call of a commit and the deletions after it: every step named is whole.

    At least one of the two steps that were there is restorable, the best is among them, and
    cleaning up removes everything else.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)  # counted below, but not waited for
    survived = None
    for n in range(1000):
        directory = tmp_path / str(n)
        directory.mkdir()
        make(directory, 1, best=0.0)
        make(directory, 2)
        make(directory, 3)
        with monkeypatch.context() as patch:
            kill_at(patch, n)
            try:
                make(directory, 4)
                retention.retain(directory, 1, 4)
                survived = n
            except Killed:
                pass
        found = retention.steps(directory)
        assert {1, 3} <= set(found) or {1, 4} <= set(found)
        for step in found:
            manifest.check(retention.place(directory, step))
        retention.clean(directory)
        assert names(directory) == [f"{step:09d}" for step in found]
        if survived is not None:
            break
    assert found == (1, 4)
    assert n > 40, "the kills must have reached the deletions"


def test_random_histories_keep_the_promise(tmp_path, monkeypatch):
    """50 random histories of saves, scores and damage: the newest and the best always stay."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the order of calls is tested elsewhere
    rng = random.Random(0)
    for history in range(50):
        directory = tmp_path / str(history)
        directory.mkdir()
        scores = {}
        for step in range(1, 7):
            scores[step] = rng.choice([None, rng.random()])
            make(directory, step, scores[step])
            retention.retain(directory, 2, step)
            found = set(retention.steps(directory))
            assert {step, max(1, step - 1)} <= found
            manifest.check(retention.place(directory, step))
            scored = {s: score for s, score in scores.items() if score is not None}
            best = {min(scored, key=scored.get)} if scored else set()
            assert found == {step, max(1, step - 1)} | best
            if rng.random() < 0.3:
                damage(directory, rng.choice(sorted(found)))
