# SPDX-License-Identifier: Apache-2.0
"""Runs `python -m experiments` many times for the price of one start: imports once, then forks.

A line of JSON on stdin orders a command: its words, code to execute first, files for its output.
The forked child is a process like any other, with its own signals, locks and compiled code.
"""

import ctypes
import json
import os
import signal
import sys

import jax
import optax
import sklearn.datasets

from experiments import __main__ as program
from experiments import command, experiment

PROGRAM = (program, optax, sklearn.datasets)  # what a command needs, imported ahead of time
NEVER = 1e9  # seconds of compilation, below which nothing is written to the cache
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Obey until stdin closes."""
    for name in ("train", "replay", "verify", "sample", "evaluate"):
        command.find(name)
    for name in ("vae_digits", "vae_mnist", "diffusion_heartbeat", "flow_digits"):
        experiment.find(name)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            pid, status = os.waitpid(order["wait"], os.WNOHANG)
            reply(os.waitstatus_to_exitcode(status) if pid else None)
            continue
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            become(order)
        reply(pid)


def reply(answer: int | None) -> None:
    """One line on stdout."""
    print(json.dumps(answer), flush=True)


def become(order: dict) -> None:
    """In the child: be `python -m experiments`."""
    for number, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), number)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    if order["cache"]:
        # Read by all, written by the first alone: a kill could leave half an entry.
        jax.config.update("jax_compilation_cache_dir", order["cache"])
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        jax.config.update(
            "jax_persistent_cache_min_compile_time_secs", 0.0 if order["fill"] else NEVER
        )
    exec(order["before"], {})  # noqa: S102
    sys.exit(program.main(order["argv"]))


if __name__ == "__main__":
    main()
