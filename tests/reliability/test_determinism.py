# SPDX-License-Identifier: Apache-2.0
"""Equal words give equal bits: in another process, and on another number of cores."""

import json
import os
import shutil
import subprocess
import sys

import pytest

OPTIONS = ("--tiny", "--steps", "40")


@pytest.fixture(params=["vae_digits", "vae_mnist", "flow_digits", "diffusion_heartbeat"])
def name(request):
    """Every experiment whose data are here."""
    if request.param == "vae_mnist":
        request.getfixturevalue("mnist")
    return request.param


@pytest.mark.slow
def test_two_processes_agree_and_another_seed_does_not(nursery, law, small, tmp_path, name):
    """Compiled anew each time: digests, pictures and evidence are equal; seed + 1 changes all."""
    found = []
    for run, seed in ((tmp_path / "a", 0), (tmp_path / "b", 0), (tmp_path / "c", 1)):
        words = ("train", name, *OPTIONS, *small, "--run-dir", run, "--seed", seed)
        done = nursery.run(*words, cache=False)
        assert done.code == 0, done.err
        result = json.loads((run / "result.json").read_text())
        pictures = {path.name: path.read_bytes() for path in (run / "samples").iterdir()}
        found.append((law.sums(run), result["evidence"], result["metrics"], pictures))
    law.same(tmp_path / "b", tmp_path / "a")
    assert found[0] == found[1]
    for part in found[0][0].keys() - {"state.skipped"}:  # a guard that skipped nothing counts 0
        assert found[0][0][part] != found[2][0][part], part
    assert found[0][1] != found[2][1]


@pytest.mark.slow
def test_one_core_and_two_agree(law, small, environment, tmp_path, name):
    """`taskset -c 0` and all cores, as real processes from the shell: equal digests.

    With two threads each: XLA's sums over a batch are cut into as many parts as there are threads.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or shutil.which("taskset") is None:
        pytest.skip("needs taskset and two cores")
    words = [sys.executable, "-m", "experiments", "train", name, *OPTIONS, *small]
    for run, prefix in (("one", ["taskset", "-c", str(cores[0])]), ("all", [])):
        command = [*prefix, *words, "--run-dir", str(tmp_path / run)]
        held = {**environment, "NPROC": "2"}
        subprocess.run(command, env=held, cwd=tmp_path, capture_output=True, check=True)
        result = json.loads((tmp_path / run / "result.json").read_text())
        assert result["environment"]["threads"] == "2"
    law.same(tmp_path / "one", tmp_path / "all")


@pytest.mark.slow
def test_the_allocator_does_not_change_a_bit(law, small, environment, tmp_path):
    """With the setting of the program's own start and without: equal digests."""
    words = [sys.executable, "-m", "experiments", "train", "vae_digits", *OPTIONS, *small]
    for run in ("on", "off"):
        command = [*words, "--run-dir", str(tmp_path / run)]
        chosen = {k: v for k, v in environment.items() if k not in ("GLIBC_TUNABLES",)}
        chosen["JAXML_ALLOCATOR"] = run
        subprocess.run(command, env=chosen, cwd=tmp_path, capture_output=True, check=True)
    law.same(tmp_path / "on", tmp_path / "off")
