# SPDX-License-Identifier: Apache-2.0
"""NaN and infinity: named, kept for replay, and never saved as if they were numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments import train
from jaxml.training import NonFiniteError
from jaxml.training.storage import checkpoint

OPTIONS = ("--tiny", "--steps", "40")
BAD = 17  # the number of the bad step, counted from 1

POISON = f"""
    import jax, jax.numpy as jnp, optax
    from functools import partial
    from experiments import vae_digits
    from jaxml.training import skip

    in_memory, adamw, guard = vae_digits.in_memory, optax.adamw, vae_digits.guard
    BAD = {BAD} - 1
    last = lambda index: index >= BAD if FOR_EVER else index == BAD

    def data(*args):
        made = in_memory(*args)
        def take(data, step, offset):
            batch = made.take(data, step, offset)
            return jnp.where(last(step), jnp.full_like(batch, VALUE), batch)
        return made._replace(take=take)

    def at_step(poison):
        "An optimizer whose state counts the steps."
        def optimizer(*args, **kwargs):
            inner = adamw(*args, **kwargs)
            init = lambda params: (inner.init(params), jnp.zeros((), jnp.int32), jnp.zeros(()))
            def update(gradient, state, params=None):
                state, count, clean = state
                bad = jnp.where(last(count), VALUE, 0.0).astype(jnp.float32)
                updates, state, clean = poison(inner, gradient, state, params, bad, clean)
                return updates, (state, count + 1, clean)
            return optax.GradientTransformation(init, update)
        return optimizer

    def gradient(inner, gradient, state, params, bad, clean):
        worse = jax.tree.map(lambda leaf: leaf + bad, gradient)
        return *inner.update(worse, state, params), clean

    def state(inner, gradient, state, params, bad, clean):
        return *inner.update(gradient, state, params), clean + bad
"""
WAYS = {
    "data": "vae_digits.in_memory = data",
    "gradient": "optax.adamw = at_step(gradient)",
    "optimizer state": "optax.adamw = at_step(state)",
}


def poison(way, value="jnp.nan", *, for_ever=False, skip=False):
    code = POISON.replace("VALUE", value).replace("FOR_EVER", str(for_ever))
    code += f"\n    {WAYS[way]}\n"
    return code + "    vae_digits.guard = partial(guard, policy=skip)\n" * skip


def finite(run: Path):
    """The steps of the checkpoints, after a look at every number in them."""
    from orbax.checkpoint import v1 as ocp

    found = []
    for place in sorted((run / "checkpoints").iterdir()):
        for leaf in ocp.load(str(place / "arrays")).values():
            number = np.asarray(leaf)
            assert number.dtype.kind in "iu" or np.isfinite(number.astype(np.float64)).all()
        checkpoint.verify(run / "checkpoints", int(place.name))
        found.append(int(place.name))
    return found


def test_exit_5_with_a_bundle_for_replay(call, small, tmp_path, monkeypatch):
    """Whatever raises NonFiniteError: exit 5, one line, and model and state are kept."""

    def failing(rule, model, batches, key, *, state, **options):
        raise NonFiniteError("step 17: loss = nan; first non-finite leaf: x", BAD, model, state)
        yield

    monkeypatch.setattr(train, "fit", failing)
    run = tmp_path / "run"
    done = call("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    assert done.code == 5
    assert done.error() == "error: step 17: loss = nan; first non-finite leaf: x"
    facts = json.loads((run / "crash" / "crash.json").read_text())
    assert facts["step"] == BAD
    with np.load(run / "crash" / "arrays.npz", allow_pickle=False) as arrays:
        assert any(name.startswith("model/") for name in arrays.files)
    assert not (run / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("way", "value"), [*((w, "jnp.nan") for w in WAYS), ("data", "jnp.inf")])
def test_stop(nursery, law, small, tmp_path, way, value):
    """Exit 5 names step, loss and first bad leaf; no bad number is saved; one step replays it."""
    run, code = tmp_path / "run", poison(way, value)
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    done = nursery.run(*words, before=code)
    assert done.code == 5, done
    line = done.error()
    assert line.startswith(f"error: step {BAD}: learn/loss = ")
    leaf = line.partition("first non-finite leaf: ")[2]
    assert leaf.startswith("model/" if way != "optimizer state" else "state/")
    assert law.rows(run / "metrics.jsonl") == list(range(1, BAD))
    assert finite(run) == [10, 15]
    assert not (run / "result.json").exists()
    replayed = nursery.run("replay", run, before=code)
    assert replayed.code == 0, replayed.err
    assert f"then: {line.removeprefix('error: ')}" in replayed.out
    assert "  stopped = True" in replayed.out
    assert "  skipped = 1\n" in replayed.out
    if way == "data":
        assert "learn/loss = nan  <- not finite" in replayed.out
    resumed = nursery.run(*words, "--resume", "auto", before=code)
    assert (resumed.code, resumed.error()) == (5, line)  # deterministic: the same step again
    healed = nursery.run(*words, "--resume", "auto")
    if way == "data":
        assert healed.code == 0
        law.same(run, nursery.reference("vae_digits", *OPTIONS, *small))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("for_ever", [False, True])
def test_skip(nursery, law, small, tmp_path, way, for_ever):
    """A bad update leaves the parameters bitwise as they were, is counted, and never applied."""
    run, code = tmp_path / "run", poison(way, for_ever=for_ever, skip=True)
    options = (*OPTIONS, *small[:2], "--save-every", "1", "--look-every", "40")
    before = f"""
    import json
    from jaxml.training.storage import checkpoint
    from jaxml.training.run import Run
    save = Run.save
    def saving(run, step, model, state):
        with open({str(tmp_path / "models")!r}, "a") as file:
            file.write(checkpoint.digest(model) + chr(10))
        save(run, step, model, state)
    Run.save = saving
    """
    words = ("train", "vae_digits", *options, "--run-dir", run)
    done = nursery.run(*words, before=code + before)
    assert done.code == 0, done.err
    models = (tmp_path / "models").read_text().split()
    assert len(models) == 40
    assert models[BAD - 1] == models[BAD - 2]
    assert models[BAD - 2] != models[BAD - 3]
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    skipped = [row["skipped"] for row in metrics]
    if for_ever or way != "data":  # the optimizer's own count stands still when it is not applied
        assert len(set(models[BAD - 2 :])) == 1
        assert skipped == [0] * (BAD - 1) + list(range(1, 40 - BAD + 2))
    else:
        assert models[BAD] != models[BAD - 1]
        assert skipped == [0] * (BAD - 1) + [1] * (40 - BAD + 1)
    assert finite(run) == [39, 40]


@pytest.mark.slow
def test_a_model_without_a_guard_is_not_saved_when_it_breaks(nursery, law, small, tmp_path):
    """Even an experiment that forgot its guard saves no NaN: exit 4 names the leaf."""
    run = tmp_path / "run"
    unguarded = """
    from jaxml.types import Rule

    def forgotten(rule):  # the state where a guard would put it, and no guard
        def update(model, state, batch, key):
            model, inner, metrics = rule.update(model, state["rule"], batch, key)
            return model, {"rule": inner}, metrics

        return Rule(lambda model, key: {"rule": rule.init(model, key)}, update)

    vae_digits.guard = forgotten
    """
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    done = nursery.run(*words, before=poison("data") + unguarded)
    assert done.code == 4
    assert "step 20 was not saved" in done.error()
    assert "is not finite" in done.error()
    assert finite(run) == [10, 15]
    shutil.rmtree(run)


def test_the_poison_is_where_it_should_be():
    """The tests' own instrument: the code that is injected parses, for each way and policy."""
    for way in WAYS:
        for skip in (False, True):
            lines = poison(way, skip=skip).splitlines()
            compile("\n".join(line[4:] for line in lines), way, "exec")
