# SPDX-License-Identifier: Apache-2.0
"""The library keeps to itself: no socket on import, no unpickling, no clock, no global chance."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORT_EVERYTHING = """
import sys
seen = []
def hook(event, arguments):
    if event.startswith("socket."):
        seen.append(event)
sys.addaudithook(hook)
import importlib, pkgutil
import jaxml
for module in pkgutil.walk_packages(jaxml.__path__, "jaxml."):
    importlib.import_module(module.name)
names = sorted(name for name in sys.modules if name.startswith("jaxml"))
assert len(names) > 10, names
assert not seen, seen
"""

LOAD_EVERYTHING = """
import sys
seen = []
def forbid(event, arguments):
    if event.startswith(("socket.", "pickle.")) or event == "marshal.load":
        seen.append((event, arguments))
from pathlib import Path
import numpy as np
import sklearn.datasets
import jax
from jaxml.data import digits, in_memory, on_disk, read_npy, read_npz, read_table, read_text
folder = Path(sys.argv[1])
np.save(folder / "v.npy", np.arange(4.0))
np.savez(folder / "v.npz", v=np.arange(4.0))
(folder / "v.csv").write_text("a,b\\n1,2\\n")
sys.addaudithook(forbid)
read_npy(folder / "v.npy"), read_npz(folder / "v.npz"), on_disk(folder / "v.npz", "v").map()
read_table(folder / "v.csv"), read_text(folder / "v.csv"), digits()
assert not seen, seen
"""


def run(script, *arguments):
    """In a fresh process without the test runner's own imports."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_importing_every_module_opens_no_socket():
    """Zero `socket.*` audit events, not even the creation of one."""
    done = run(IMPORT_EVERYTHING)
    assert done.returncode == 0, done.stderr


def test_reading_data_opens_no_socket_and_unpickles_nothing(tmp_path):
    """Zero `socket.*` and `pickle.*` audit events in every reader."""
    done = run(LOAD_EVERYTHING, str(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["random", "numpy.random", "time"])
def test_data_code_uses_no_global_chance_and_no_clock(name):
    """No file under jaxml/data names numpy.random, random or time."""
    spelled = {"random": ("import random",), "numpy.random": ("np.random", "numpy.random")}
    for path in (ROOT / "jaxml" / "data").rglob("*.py"):
        text = path.read_text()
        for word in spelled.get(name, ("import time", "from time")):
            assert word not in text, path
