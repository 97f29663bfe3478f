# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment: what is resumed ends as what was never interrupted."""

import random
import signal
import time

import pytest


def train(nursery, name, options, run, **how):
    return nursery.start("train", name, *options, "--run-dir", run, "--resume", "auto", **how)


def test_a_killed_run_resumes_to_the_same_end(nursery, law, small, tmp_path):
    """One kill amid training; the resumed run equals the uninterrupted one file by file."""
    options = ("--tiny", "--steps", "40", *small)
    reference, run = nursery.reference("vae_digits", *options), tmp_path / "run"
    child = train(nursery, "vae_digits", options, run)
    log = run / "metrics.jsonl"
    child.until(lambda: log.exists() and log.read_text().count("\n") >= 15)
    child.send(signal.SIGKILL)
    assert child.wait().code == 137
    assert train(nursery, "vae_digits", options, run).wait().code == 0
    law.same(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae_digits", "vae_mnist", "diffusion_heartbeat"])
def test_ten_kills_at_random_times(nursery, law, small, tmp_path, request, name):
    """Uniformly random times of a run of 200 steps that saves every 5, ten kills out of ten."""
    if name == "vae_mnist":
        request.getfixturevalue("mnist")
    options = ("--tiny", "--steps", "200", *small)
    reference, rng = nursery.reference(name, *options), random.Random(name)
    began = time.monotonic()
    assert train(nursery, name, options, tmp_path / "timed").wait().code == 0
    length, kills, found = time.monotonic() - began, 0, []
    for attempt in range(30):
        run = tmp_path / f"run-{attempt}"
        child = train(nursery, name, options, run)
        time.sleep(rng.uniform(0, length))
        child.send(signal.SIGKILL)
        if child.wait().code == 137:
            kills += 1
            found.append(max(law.saved(run), default=0) if (run / "checkpoints").is_dir() else 0)
            done = train(nursery, name, options, run).wait()
            assert done.code == 0, done.err
        law.same(run, reference)
        if kills == 10:
            break
    assert kills == 10
    assert any(0 < step < 200 for step in found), f"no kill fell into the training: {found}"
    print(f"{name}: killed with checkpoints of steps {found}; all ended equal")
