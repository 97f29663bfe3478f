# SPDX-License-Identifier: Apache-2.0
"""What is restored is what was saved, bit for bit; everything else is refused by name."""

import json
import subprocess
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxml.training.storage import checkpoint, orbax_store
from jaxml.training.storage.checkpoint import CheckpointError


class Moments(NamedTuple):
    """A state of our own, as rules keep them."""

    count: jax.Array
    average: object


def tree(seed=0):
    """One of everything that a training state may hold."""
    params = {
        "encoder": {"kernel": jnp.sin(jnp.arange(12.0) + seed).reshape(4, 3), "bias": jnp.zeros(3)},
        "scale": jnp.cos(jnp.arange(5.0) + seed).astype(jnp.bfloat16),
    }
    return {
        "params": params,
        "optimizer": optax.adam(1e-3).init(params),
        "rule": [Moments(jnp.int32(seed), (params["scale"], {})), {}, ()],
        "keys": (jax.random.key(seed), jax.random.split(jax.random.key(seed, impl="rbg"), 2)),
        "replay": jnp.zeros((0, 7)),
        "host": (np.arange(3.0), np.int64(2**40 + seed), True, 3, 0.1),
        "none": None,
    }


def test_a_checkpoint_comes_back_bit_for_bit(directory):
    """Structure, types, dtypes, bits and metadata, into a concrete and into an abstract tree."""
    saved = tree(3)
    metadata = {"loss": 0.1, "names": ["é", None], "nested": {"n": 2**60}}
    with checkpoint.writer(directory) as writer:
        writer.save(12, saved, metadata)
    like = tree(4)
    arrays = {name: saved[name] for name in ("params", "optimizer", "rule", "keys", "replay")}
    for expected in (like, {**jax.eval_shape(lambda: arrays), "host": like["host"], "none": None}):
        back, facts = checkpoint.load(directory, 12, expected)
        assert facts == metadata
        assert jax.tree.structure(back) == jax.tree.structure(saved)
        for old, new in zip(jax.tree.leaves(saved), jax.tree.leaves(back), strict=True):
            assert type(old) is type(new)
            assert checkpoint.digest(old) == checkpoint.digest(new)
            assert getattr(old, "dtype", None) == getattr(new, "dtype", None)
    assert checkpoint.digest(back) == checkpoint.digest(saved)
    assert checkpoint.verify(directory, 12) == metadata


def test_what_is_on_the_disk_can_be_checked_without_us(directory, fill, small):
    """`sha256sum -c` passes, and the metadata is readable JSON with a line for each leaf."""
    fill(directory, 5)
    step = directory / "000000005"
    command = ["sha256sum", "--check", "--strict", "manifest.sha256", "manifest.sha256.seal"]
    assert subprocess.run(command, cwd=step, capture_output=True).returncode == 0
    facts = json.loads((step / "metadata.json").read_text())
    assert facts["leaves"] == {"n": "int32[]", "w": "float32[3, 2]"}
    assert facts["digest"] == checkpoint.digest(small(5))


def test_the_buffers_may_be_donated_at_once(directory):
    """A step that reuses the memory while the save is under way does not reach the checkpoint."""
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros(300_000)
    with checkpoint.writer(directory, keep=10) as writer:
        for n in range(3):
            writer.save(n, {"x": x}, {})
            for _ in range(20):
                x = step(x)
    for n in range(3):
        back, _ = checkpoint.load(directory, n, {"x": x})
        assert (np.asarray(back["x"]) == 20 * n).all()


def test_nothing_is_there_before_the_first_save(directory, small):
    """No steps, no latest, no best; asking for a step says so."""
    for _ in range(2):
        assert checkpoint.steps(directory) == ()
        assert checkpoint.latest(directory) is None
        assert checkpoint.best(directory) is None
        assert checkpoint.latest_good(directory) == (None, ())
        with pytest.raises(CheckpointError, match="step 3 is not saved here; saved: none"):
            checkpoint.load(directory, 3, small())
        with checkpoint.writer(directory):
            pass


def changed(**parts):
    return {**tree(), **parts}


@pytest.mark.parametrize(
    ("like", "differences"),
    [
        (
            changed(replay=jnp.zeros((0, 8))),
            ["replay: saved float32[0, 7], expected float32[0, 8]"],
        ),
        (
            changed(replay=jnp.zeros((0, 7), jnp.bfloat16)),
            ["replay: saved float32[0, 7], expected bfloat16[0, 7]"],
        ),
        (
            changed(keys=(jax.random.key(0), jax.random.split(jax.random.key(0), 2))),
            ["keys/1: saved key<rbg> as uint32[2, 4], expected key<fry> as uint32[2, 2]"],
        ),
        (
            changed(keys=(jnp.zeros(2, jnp.uint32), tree()["keys"][1])),
            ["keys/0: saved key<fry> as uint32[2], expected uint32[2]"],
        ),
        (changed(extra=1), ["extra: not in the checkpoint"]),
        (changed(replay=None), ["replay: only in the checkpoint"]),
        (
            changed(host=(np.arange(3.0), np.int64(1), 1, 3, 0.1)),
            ["host/2: saved bool as bool[], expected int as int64[]"],
        ),
        (
            changed(optimizer=optax.sgd(0.1, momentum=0.9).init(tree()["params"])),
            [
                "optimizer/0/count: only in the checkpoint",
                "optimizer/0/mu/encoder/bias: only in the checkpoint",
                "optimizer/0/mu/encoder/kernel: only in the checkpoint",
                "optimizer/0/mu/scale: only in the checkpoint",
                "optimizer/0/nu/encoder/bias: only in the checkpoint",
                "and 5 more",
            ],
        ),
    ],
)
def test_another_tree_is_refused_before_anything_is_read(directory, monkeypatch, like, differences):
    """Shape, dtype, key kind, missing, additional, another optimizer: the first five are named."""
    with checkpoint.writer(directory) as writer:
        writer.save(7, tree(), {})
    monkeypatch.setattr(orbax_store, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(directory, 7, like)
    expected = f"{directory}/000000007: step 7 holds another tree: {'; '.join(differences)}"
    assert str(caught.value) == expected


def test_a_leaf_that_cannot_be_stored_is_refused_in_the_expected_tree(directory, fill):
    """A text in the place of an array is an error of the caller, named by its path."""
    fill(directory, 1)
    with pytest.raises(CheckpointError, match="step 1: expected tree: w: expected an array"):
        checkpoint.load(directory, 1, {"w": "text"})


def test_numbers_other_than_the_saved_are_refused(directory, monkeypatch, fill, small):
    """Should the array library return other numbers, the digest of the tree notices."""
    fill(directory, 1)
    read = orbax_store.read

    def wrong(path, specs):
        arrays = read(path, specs)
        return {**arrays, "w": np.nextafter(arrays["w"], np.float32(9))}

    monkeypatch.setattr(orbax_store, "read", wrong)
    with pytest.raises(CheckpointError, match="step 1: the numbers restored are not those saved"):
        checkpoint.load(directory, 1, small())


def test_what_cannot_be_read_is_one_error(directory, monkeypatch, fill, small):
    """Whatever the array library raises arrives as one line with the step."""
    fill(directory, 1)

    def broken(*_args):
        raise ValueError("first line\nsecond")

    monkeypatch.setattr(orbax_store, "read", broken)
    with pytest.raises(CheckpointError, match=r"000000001: step 1 cannot be read: first line$"):
        checkpoint.load(directory, 1, small())
