# SPDX-License-Identifier: Apache-2.0
"""A save that fails is reported in time and leaves no trace; nothing that must stay is deleted."""

import errno
import shutil
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training.storage import checkpoint, leaves, manifest, orbax_store, retention
from jaxml.training.storage.checkpoint import CheckpointError

MEANT = "in place of infinity begin with a large finite number"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"b": jnp.array([1.0, jnp.inf]), "a": jnp.ones(2)}, f"b is not finite: {MEANT}"),
        ({"b": jnp.array([jnp.nan]), "a": [jnp.bfloat16(jnp.inf)]}, f"a/0 is not finite: {MEANT}"),
        ({"b": float("nan")}, "b is not finite$"),
        ({"b": np.array([-np.inf, np.nan])}, "b is not finite$"),
        ({"b": "text"}, "b: expected an array or a number, got str"),
        ({"b": np.array([None])}, "b: expected an array of numbers, got dtype object"),
    ],
)
def test_a_tree_that_must_not_be_saved_is_refused_at_once(directory, bad, why, names, small):
    """The first bad leaf is named by the call itself; nothing is written, the next save works."""
    with checkpoint.writer(directory) as writer:
        with pytest.raises(CheckpointError, match=f"000000001: step 1 was not saved: {why}"):
            writer.save(1, bad, {})
        assert names(directory) == []
        writer.save(1, small(), {})
    assert checkpoint.steps(directory) == (1,)


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": {1}}, {"x": object()}])
def test_metadata_that_json_cannot_express_is_refused_at_once(directory, metadata, names, small):
    """The caller learns it at the save."""
    refused = pytest.raises(CheckpointError, match="step 1 was not saved: ")
    with checkpoint.writer(directory) as writer, refused:
        writer.save(1, small(), metadata)
    assert names(directory) == []


def test_a_step_is_saved_once(directory, fill, small):
    """Saving a step again is refused and changes nothing, damaged or not."""
    fill(directory, 5)
    with checkpoint.writer(directory) as writer:
        with pytest.raises(CheckpointError, match="step 5 is saved already"):
            writer.save(5, small(1), {})
        with pytest.raises(CheckpointError, match="step -1 is not within"):
            writer.save(-1, small(1), {})
    assert checkpoint.digest(checkpoint.load(directory, 5, small())[0]) == checkpoint.digest(
        small(5)
    )


def test_the_newest_and_the_best_stay(directory, names, small):
    """keep=2: after each save the two newest and the one with the lowest score are left."""
    scores = [3.0, 1.0, 2.0, None, float("nan"), 5.0]
    with checkpoint.writer(directory, keep=2) as writer:
        for step, score in enumerate(scores, 1):
            writer.save(step, small(step), {}, best=score)
            writer.wait()
            assert set(checkpoint.steps(directory)) == {max(step - 1, 1), step, min(step, 2)}
    assert checkpoint.best(directory) == 2
    for step in (2, 5, 6):
        checkpoint.load(directory, step, small())
    assert len(names(directory)) == 3


def test_a_step_below_others_is_not_deleted_by_its_own_save(directory, fill, small):
    """A run continued from an earlier step keeps what it saves, although later names are there."""
    fill(directory, 10, 20)
    (directory / "000000020" / "metadata.json").write_text("damaged")
    with checkpoint.writer(directory, keep=1) as writer:
        writer.save(11, small(11), {})
    assert checkpoint.steps(directory) == (11, 20)
    assert checkpoint.latest_good(directory) == (11, (20,))


def test_keep_is_at_least_one(directory):
    """A writer that would keep nothing is a mistake of the caller."""
    with (
        pytest.raises(ValueError, match="keep must be at least 1"),
        checkpoint.writer(directory, keep=0),
    ):
        pass


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("module", "function"),
    [(orbax_store, "write"), (leaves, "digest_arrays"), (manifest, "write"), (retention, "sync")],
)
def test_a_failure_surfaces_no_later_than_the_next_save(
    directory, monkeypatch, module, function, fill, names, small
):
    """Its failure comes with wait, with the next save or at the end, once; no trace of it stays."""
    fill(directory, 5)
    expected = "000000010: step 10 was not saved: No space left on device"
    surfaces = {
        "wait": lambda writer: writer.wait(),
        "save": lambda writer: writer.save(15, small(), {}),
    }
    for surface in surfaces.values():
        with checkpoint.writer(directory) as writer, monkeypatch.context() as patch:
            patch.setattr(module, function, full)
            writer.save(10, small(), {})
            with pytest.raises(CheckpointError, match=expected):
                surface(writer)
            writer.wait()
        assert checkpoint.latest(directory) == 5
        assert names(directory) == ["000000005"]
    with monkeypatch.context() as patch:
        patch.setattr(module, function, full)
        with pytest.raises(CheckpointError, match=expected):
            fill(directory, 10)
    assert names(directory) == ["000000005"]
    fill(directory, 10)
    assert checkpoint.latest_good(directory) == (10, ())


def interrupted(directory, tree):
    """A run that is stopped right after it began to save step 10."""
    with checkpoint.writer(directory) as writer:
        writer.save(10, tree, {})
        raise KeyboardInterrupt


@pytest.mark.parametrize("loss", ["array data", "marker", "one bit"])
def test_what_is_lost_while_saving_is_not_sealed_in(directory, monkeypatch, loss, small):
    """What vanishes, or turns, before the manifest is written makes no checkpoint."""
    seal = manifest.write

    def lose(root):
        if loss == "marker":
            (root / retention.MARKER).unlink()
        else:
            data = max(root.rglob("d/*"), key=lambda path: path.stat().st_size)
            raw = bytearray(data.read_bytes())
            raw[len(raw) // 2] ^= 1
            data.unlink()
            if loss == "one bit":
                data.write_bytes(raw)
        seal(root)

    with checkpoint.writer(directory) as writer:
        writer.save(5, small(5), {})
        writer.wait()
        monkeypatch.setattr(manifest, "write", lose)
        writer.save(10, {"w": jnp.arange(1000.0)}, {})
        with pytest.raises(CheckpointError, match="000000010: step 10 was not saved: "):
            writer.wait()
    assert checkpoint.latest_good(directory) == (5, ())


def test_a_failure_does_not_hide_another_error(directory, monkeypatch, small):
    """An exception on its way goes on, and carries the failure as a note."""
    monkeypatch.setattr(orbax_store, "write", full)
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted(directory, small(10))
    assert caught.value.__notes__ == [
        f"{directory}/000000010: step 10 was not saved: No space left on device"
    ]


def test_an_interrupt_lets_the_save_under_way_finish(directory, small):
    """What was handed over before an exception is committed."""
    with pytest.raises(KeyboardInterrupt):
        interrupted(directory, small(10))
    assert checkpoint.latest_good(directory) == (10, ())


def test_old_checkpoints_that_cannot_be_deleted_are_reported(directory, monkeypatch, fill):
    """The save itself counts; the disk that silently fills up does not stay silent."""
    monkeypatch.setattr(retention, "retain", full)
    with pytest.raises(CheckpointError, match="checkpoints: old checkpoints cannot be deleted: No"):
        fill(directory, 5)
    assert checkpoint.latest_good(directory) == (5, ())


def test_saving_is_one_at_a_time_and_in_a_thread(directory, monkeypatch, small):
    """A save returns while its writing waits; the next save waits for it; order is kept."""
    gate, write, seen = threading.Event(), orbax_store.write, []

    def slow(path, arrays):
        assert gate.wait(20)
        seen.append((threading.current_thread().name, int(arrays["n"])))
        write(path, arrays)

    monkeypatch.setattr(orbax_store, "write", slow)
    with checkpoint.writer(directory) as writer:
        writer.save(1, small(1), {})
        assert checkpoint.steps(directory) == ()
        gate.set()
        writer.save(2, small(2), {})
        assert checkpoint.steps(directory) == (1,)
    assert [n for _, n in seen] == [1, 2]
    assert all(name.startswith("checkpoint") for name, _ in seen)
    assert not any(thread.name.startswith("checkpoint") for thread in threading.enumerate())


def test_a_writer_cleans_up_after_a_killed_one(directory, fill, names):
    """Temporary directories of a kill are gone once the next writer opens; committed ones stay."""
    fill(directory, 5)
    retention.create(directory, 10)
    (directory / ".tmp-000000011-01234567").mkdir()
    with checkpoint.writer(directory):
        assert names(directory) == ["000000005"]


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    """A missing run directory and a file in the place are named in one line."""
    (tmp_path / "file").touch()
    for name in ("missing/checkpoints", "file"):
        refused = pytest.raises(CheckpointError, match=f"{name}: cannot hold checkpoints: ")
        with refused, checkpoint.writer(tmp_path / name):
            pass


def test_a_run_removed_while_it_saves_is_an_error(directory, small):
    """Nothing is resurrected in its place."""
    with checkpoint.writer(directory) as writer:
        writer.save(5, small(), {})
        writer.wait()
        shutil.rmtree(directory)
        writer.save(10, small(), {})
        with pytest.raises(CheckpointError, match="000000010: step 10 was not saved: No such file"):
            writer.wait()
    assert not directory.exists()
