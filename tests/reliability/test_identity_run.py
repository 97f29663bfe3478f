# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is restored into the run that wrote it, or not at all."""

import dataclasses
import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest

from experiments import vae_digits
from jaxml.training.storage import manifest

OPTIONS = ("--tiny", "--steps", "40")


@pytest.fixture
def run(nursery, small, tmp_path):
    """A run of one's own."""
    return shutil.copytree(nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run")


def with_experiment(change):
    """Build the experiment as ever and then change it."""

    def apply(patch):
        build = vae_digits.build
        patch(vae_digits, "build", lambda config, data_dir: change(build(config, data_dir)))

    return apply


def with_state(change):
    """Another initial state of the rule."""

    def changed(experiment):
        init = experiment.rule.init
        rule = experiment.rule._replace(init=lambda model, key: change(init(model, key)))
        return experiment._replace(rule=rule)

    return with_experiment(changed)


def with_data(change):
    """Another training split."""

    def apply(patch):
        splits = vae_digits.digits()
        train = {name: change(part.copy()) for name, part in splits[0].items()}
        patch(vae_digits, "digits", lambda: (train, *splits[1:]))

    return apply


def brighter(x):
    x.reshape(-1)[0] = 1 - x.reshape(-1)[0]
    return x


def half_precision(experiment):
    model = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), experiment.model)
    return experiment._replace(model=model)


CHANGES = {
    "width": (["--width", "16"], "config.width: 8 in the run, 16 now"),
    "dtype": (with_experiment(half_precision), "saved float32[8], expected bfloat16[8]"),
    "missing key": (
        with_state(lambda state: {**state, "extra": jnp.zeros(3)}),
        "state/extra: not in the checkpoint",
    ),
    "extra key": (
        with_state(lambda state: {**state, "rule": {"learn": state["rule"]["learn"]}}),
        "state/rule/average/model/decoder/",
    ),
    "optimizer": (
        lambda patch: patch(optax, "adamw", lambda *a, **k: optax.sgd(0.1, momentum=0.9)),
        "state/rule/learn/",
    ),
    "schedule": (["--steps", "60"], "config.steps: 40 in the run, 60 now"),
    "seed": (["--seed", "1"], "config.seed: 0 in the run, 1 now"),
    "batch size": (["--batch-size", "50"], "config.batch_size: 100 in the run, 50 now"),
    "data": (with_data(brighter), "data.sha256: "),
    "length": (with_data(lambda x: x[:-1]), "data.order.length: 1300 in the run, 1299 now"),
    "sharding": (
        lambda patch: patch(vae_digits, "in_memory", partial(vae_digits.in_memory, n_processes=2)),
        "data.order.n_processes: 1 in the run, 2 now",
    ),
    "version": (None, "format version 2 is newer than 1"),
}


def renew(run):
    """Mark the newest checkpoint as written by a later format, seal and all."""
    place = run / "checkpoints" / "000000040"
    facts = json.loads((place / "metadata.json").read_text())
    (place / "metadata.json").write_text(json.dumps({**facts, "version": facts["version"] + 1}))
    for name in (manifest.MANIFEST, manifest.SEAL):
        (place / name).unlink()
    manifest.write(place)


@pytest.mark.parametrize(
    "change",
    [
        "width",
        "missing key",
        *(
            pytest.param(c, marks=pytest.mark.slow)
            for c in sorted(CHANGES.keys() - {"width", "missing key"})
        ),
    ],
)
def test_another_run_is_refused(call, law, small, run, monkeypatch, change):
    """12 of 12: exit 4, one line with the first five differing paths, nothing touched."""
    act, expected = CHANGES[change]
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != "run.lock"}
    words = [*OPTIONS, *small, "--run-dir", str(run), "--resume", "auto"]
    if isinstance(act, list):
        at = words.index(act[0]) if act[0] in words else len(words)
        words[at : at + 2] = act
    elif act is None:
        renew(run)
        before = {path: path.read_bytes() for path in before}
    else:
        act(monkeypatch.setattr)
    done = call("train", "vae_digits", *words)
    assert done.code == 4, done
    line = done.error()
    assert expected in line
    assert "step 40" in line
    assert line.count("; ") <= 5  # and N more
    if change in ("dtype", "extra key", "optimizer"):
        assert " more" in line
    assert {path: path.read_bytes() for path in before} == before
    assert law.saved(run) == [35, 40]


@pytest.mark.slow
def test_batch_size_and_data_may_be_changed_on_purpose(nursery, law, small, tmp_path):
    """What `--allow-change` names is accepted and logged; what it does not name is refused."""
    run = tmp_path / "run"
    stop = """
    import os, signal
    from jaxml.training.run import Run
    record = Run.record
    def stopping(run, step, metrics):
        record(run, step, metrics)
        if step == 20:
            os.kill(os.getpid(), signal.SIGTERM)
    Run.record = stopping
    """
    words = ["train", "vae_digits", *OPTIONS, *small, "--run-dir", run]
    assert nursery.run(*words, before=stop).code == 143
    words += ["--resume", "auto", "--batch-size", "50", "--allow-change", "config.batch_size"]
    half = nursery.run(*words)
    assert half.code == 4
    assert "data.order.batch_size: 100 in the run, 50 now" in half.error()
    assert "config.batch_size" not in half.error()
    done = nursery.run(*words, "data")
    assert done.code == 0, done.err
    (line,) = (run / "changes.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": law.rows(run / "changes.jsonl")[0],
        "changes": [
            "config.batch_size: 100 in the run, 50 now",
            "data.order.batch_size: 100 in the run, 50 now",
        ],
    }
    assert json.loads((run / "config.json").read_text())["config"]["batch_size"] == 50
    assert law.rows(run / "metrics.jsonl") == list(range(1, 41))


def test_every_option_is_part_of_the_identity():
    """No option of the experiment can change unseen: the identity holds the whole configuration."""
    from experiments import config

    held = json.loads(config.dump(vae_digits.Config()))["config"]
    assert set(held) == {field.name for field in dataclasses.fields(vae_digits.Config)}
