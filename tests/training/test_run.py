# SPDX-License-Identifier: Apache-2.0
"""Laws of the run directory: begin once, resume exactly, refuse the rest."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training import NonFiniteError, average, chain, crash, descend, fit, guard
from jaxml.training import run as runs
from jaxml.training.storage import checkpoint
from jaxml.training.storage.directory import CheckpointError
from jaxml.types import Batches

IDENTITY = {"experiment": "line", "config": {"seed": 0, "batch_size": 4}, "data": {"sha256": "ab"}}
STEPS = 12


def key():
    """A fresh handle on the same key: the reuse checker follows handles, not bits."""
    return jax.random.key(0)


def loss(model, batch, key):
    noise = 0.1 * jax.random.normal(key, batch.shape)
    return jnp.mean((model(batch + noise) - 1.0) ** 2), {}


RULE = guard(chain(learn=descend(loss, optax.adam(0.1)), average=average(0.9)))
BATCHES = Batches(
    lambda first, n, capacity: jnp.arange(48.0).reshape(12, 4, 1) / 48,
    lambda data, step, offset: data[step % 12],
    {"sha256": "ab"},
)


def fresh(width=2):
    model = nnx.Linear(1, width, rngs=nnx.Rngs(0))
    return model, RULE.init(model, key())


def train(directory, *, until=STEPS, resume=runs.never, identity=IDENTITY, allow=(), width=2):
    """Train to a step, a checkpoint every 4, and return what a result file would hold."""
    with runs.open_run(directory, resume=resume) as run:
        model, state = run.start(identity, "{}\n", *fresh(width), allow=allow)
        chunks = fit(
            RULE, model, BATCHES, key(), steps=until, state=state, first=run.first, chunk=4
        )
        for step, model, state, metrics in chunks:
            run.record(step, metrics)
            run.save(step, model, state)
        run.finish({"step": until})
        return runs.digests(model, state, key(), BATCHES.fingerprint, until)


@pytest.mark.parametrize("k", [0, 1, 4, 5, STEPS - 1])
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path, k):
    """Every digest is equal, and each step stands in the log exactly once."""
    whole = train(tmp_path / "whole")
    if k:
        train(tmp_path / "parts", until=k)
    assert train(tmp_path / "parts", resume=runs.newest) == whole
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert [json.loads(line)["step"] for line in logs[1].splitlines()] == list(range(1, STEPS + 1))


def test_a_log_that_ran_ahead_of_the_checkpoint_is_cut_back(tmp_path):
    """Rows written after the newest checkpoint are written again, not twice."""
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", until=8)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "learn/loss": 1.0}\n{"step": 10, "lea')
    assert train(tmp_path / "parts", resume=runs.newest) == whole
    assert (tmp_path / "parts" / "metrics.jsonl").read_text() == (
        tmp_path / "whole" / "metrics.jsonl"
    ).read_text()


def test_a_run_is_begun_once(tmp_path):
    """Nothing is overwritten by forgetting an option."""
    train(tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds a run already"):
        train(tmp_path / "run")


CHANGES = {
    "seed": {"config": {"seed": 1, "batch_size": 4}},
    "batch size": {"config": {"seed": 0, "batch_size": 8}},
    "schedule": {"config": {"seed": 0, "batch_size": 4, "T": 1000}},
    "data": {"data": {"sha256": "cd"}},
    "length": {"data": {"sha256": "ab", "n": 10}},
    "experiment": {"experiment": "curve"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_identity_is_refused(tmp_path, change):
    """What would silently train on something else stops with both values named."""
    train(tmp_path / "run", until=4)
    with pytest.raises(CheckpointError, match="step 4 is of another run"):
        train(tmp_path / "run", resume=runs.newest, identity=IDENTITY | change)
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") == 4


def test_an_allowed_change_is_logged(tmp_path):
    """An override is a decision that stays readable."""
    train(tmp_path / "run", until=4)
    change = IDENTITY | {"config": {"seed": 0, "batch_size": 8}}
    train(tmp_path / "run", resume=runs.newest, identity=change, allow=["config.batch_size"])
    (line,) = (tmp_path / "run" / "changes.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": 4,
        "changes": ["config.batch_size: 4 in the run, 8 now"],
    }


def test_another_model_is_refused(tmp_path):
    """Shapes are compared before anything is restored."""
    train(tmp_path / "run", until=4)
    with pytest.raises(CheckpointError, match=r"model/kernel/value: saved float32\[1, 2\]"):
        train(tmp_path / "run", resume=runs.newest, width=3)


def damage(directory):
    """Flip one bit in the newest checkpoint."""
    place = directory / "checkpoints" / f"{STEPS:09d}"
    path = max((p for p in place.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_stops_auto_and_is_set_aside_by_last_good(tmp_path, capsys):
    """The damage is named; last-good tells both steps, keeps the damaged one, and ends equal."""
    whole = train(tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.raises(CheckpointError, match="step 12"):
        train(tmp_path / "run", resume=runs.newest)
    assert train(tmp_path / "run", resume=runs.last_good) == whole
    assert "step 12 is damaged and set aside; continuing from step 8" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoints" / f"{STEPS:09d}.damaged").is_dir()


def test_digests_tell_every_part(tmp_path):
    """Params, each part of the state, the key and the position in the data have their own sum."""
    model, state = fresh()
    base = runs.digests(model, state, key(), {"sha256": "ab"}, 3)
    parts = {"state.rule.learn", "state.rule.average", "state.skipped"}
    assert set(base) == {"params", *parts, "key", "data"}
    other = jax.tree.map(lambda leaf: leaf + 1, model)
    mean = {**state["rule"], "average": jax.tree.map(jnp.ones_like, state["rule"]["average"])}
    changed = {
        "params": runs.digests(other, state, key(), {"sha256": "ab"}, 3),
        "state.rule.average": runs.digests(
            model, {**state, "rule": mean}, key(), {"sha256": "ab"}, 3
        ),
        "state.skipped": runs.digests(
            model, {**state, "skipped": jnp.int32(1)}, key(), {"sha256": "ab"}, 3
        ),
        "key": runs.digests(model, state, jax.random.key(1), {"sha256": "ab"}, 3),
        "data": runs.digests(model, state, key(), {"sha256": "ab"}, 4),
    }
    for name, sums in changed.items():
        assert {part for part in base if base[part] != sums[part]} == {name}


def test_a_crashed_step_is_replayed_from_its_bundle(tmp_path):
    """The bundle holds what the bad step started from; one step gives the NaN again."""
    poisoned = BATCHES._replace(
        take=lambda data, step, offset: jnp.where(step == 5, jnp.nan, data[step % 12])
    )
    model = nnx.Linear(1, 2, rngs=nnx.Rngs(0))

    def run_into_it():
        for _ in fit(RULE, model, poisoned, key(), steps=STEPS):
            pass

    with pytest.raises(NonFiniteError) as caught:
        run_into_it()
    crash.write(tmp_path, caught.value, IDENTITY)
    like = RULE.init(model, key())
    before, state, facts = crash.read(tmp_path, model, like)
    assert facts["step"] == 6
    assert "step 6: learn/loss = nan" in facts["message"]
    for _, *sound, _ in fit(RULE, model, poisoned, key(), steps=5):
        jax.tree.map(np.testing.assert_array_equal, [before, state], sound)
    metrics = crash.replay(RULE, before, state, poisoned, key(), facts["step"])
    assert np.isnan(metrics["learn/loss"])
    assert (bool(metrics["stopped"]), int(metrics["skipped"])) == (True, 1)
    healthy = crash.replay(RULE, before, state, BATCHES, key(), facts["step"])
    assert np.isfinite(healthy["learn/loss"])
    with pytest.raises(CheckpointError, match="no crash bundle"):
        crash.read(tmp_path / "elsewhere", model, like)
