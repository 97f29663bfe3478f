# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random times while checkpoints come and go: every name left is a whole checkpoint."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jaxml.training.storage import checkpoint, retention

ROOT = Path(__file__).parents[3]

RUN = """
    import os, sys
    import jax.numpy as jnp
    from jaxml.training.storage import atomic, checkpoint, lock
    run = sys.argv[1]
    directory = os.path.join(run, "checkpoints")
    tree = lambda step: {f"w{i}": jnp.full((20, 20), float(step + i)) for i in range(5)}
    with lock.hold(run):
        first, damaged = checkpoint.latest_good(directory)
        assert damaged == ()
        if first is not None:
            back, metadata = checkpoint.load(directory, first, tree(0))
            assert metadata == {"step": first}
            assert checkpoint.digest(back) == checkpoint.digest(tree(first))
        with (
            atomic.open_at(os.path.join(run, "metrics.jsonl"), first or 0) as log,
            checkpoint.writer(directory, keep=2) as writer,
        ):
            assert all(name.isdigit() for name in os.listdir(directory))
            for step in range((first or 0) + 1, 10**6):
                log.write(f'{{"step": {step}}}\\n')
                writer.save(step, tree(step), {"step": step}, best=abs(step - 3))
                print(step, flush=True)
"""


@pytest.mark.slow
def test_a_killed_run_resumes_where_it_was(tmp_path):
    """20 kills of one run: each restart finds a whole newest checkpoint, the best, and no litter.

    Between the kills at least two saves are begun, so that every kill falls into writing, sealing,
    renaming or deleting. The log holds each step exactly once at the end.
    """
    rng = random.Random(0)
    directory = tmp_path / "checkpoints"
    newest, litter = 0, 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RUN), str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert all(lines), errors
        assert errors == ""
        found = checkpoint.steps(directory)
        assert len(found) >= 2
        assert found[-1] > newest
        newest = found[-1]
        for step in found:
            checkpoint.verify(directory, step)
        if newest >= 3:
            assert checkpoint.best(directory) == 3
        litter += len(os.listdir(directory)) > len(found)
    assert litter > 0, "no kill fell into a save"
    retention.clean(directory)
    assert len(os.listdir(directory)) == len(checkpoint.steps(directory))
    text = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert text[:newest] == [f'{{"step": {step}}}' for step in range(1, newest + 1)]
