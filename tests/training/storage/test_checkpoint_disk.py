# SPDX-License-Identifier: Apache-2.0
"""A full disk is reported, and what was saved before it is whole."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

DISK = """
    import os, resource, sys
    import jax.numpy as jnp, numpy as np
    from jaxml.training.storage import checkpoint
    directory = os.path.join(sys.argv[1], "checkpoints")
    small = {"w": jnp.arange(10.0)}
    large = {"w": np.random.default_rng(0).normal(size=1_000_000)}
    if sys.argv[2] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    refused = 0
    for repeat in range(10):
        good, bad = 2 * repeat, 2 * repeat + 1
        try:
            with checkpoint.writer(directory, keep=1) as writer:
                writer.save(good, small, {})
                writer.save(bad, large, {})
                if repeat % 2:
                    writer.save(bad + 1, small, {})
        except checkpoint.CheckpointError as error:
            assert f"{bad:09d}: step {bad} was not saved: " in str(error), error
            assert "No space left" in str(error) or "File too large" in str(error), error
            refused += 1
        assert checkpoint.latest(directory) == good
        back, _ = checkpoint.load(directory, good, small)
        assert checkpoint.digest(back) == checkpoint.digest(small)
        assert os.listdir(directory) == [f"{good:09d}"]
    print("refused", refused)
"""


@pytest.mark.parametrize("way", ["limit", "tmpfs"])
def test_a_full_disk(tmp_path, way):
    """A file-size limit of 1 MiB, and a file system of 4 MiB: 10 of 10 reported, nothing lost.

    The failure is reported no later than the next save and before the end, the checkpoint before
    it restores, `latest` does not name the failed step, and nothing is printed.
    """
    script = [sys.executable, "-c", textwrap.dedent(DISK), str(tmp_path), way]
    if way == "tmpfs":
        if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
            pytest.skip("no private mounts here: unshare -rm is not allowed")
        mount = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
        script = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), *script]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert (done.stdout, done.stderr) == ("refused 10\n", "")
