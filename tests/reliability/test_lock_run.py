# SPDX-License-Identifier: Apache-2.0
"""One run directory, one process: the second is turned away, a dead one is replaced."""

import json
import random
import signal
import socket
import time

import pytest


def holder(run):
    """The pid in the lock file; 0 while there is none."""
    try:
        return json.loads((run / "run.lock").read_text())["pid"]
    except (OSError, ValueError):
        return 0


@pytest.mark.slow
def test_twenty_races_and_twenty_takeovers(nursery, law, small, tmp_path):
    """Two starts 0 to 200 ms apart: one wins, the other exits 4 within 5 s and names the winner.

    The winner is then killed; the third takes the lock over at once, 20 times out of 20.
    """
    rng, slowest = random.Random(0), 0.0
    for repeat in range(20):
        run = tmp_path / f"run-{repeat}"
        words = ("train", "vae_digits", "--tiny", *small, "--run-dir", run, "--resume", "auto")
        pair = [nursery.start(*words)]
        time.sleep(0 if repeat % 2 else rng.uniform(0, 0.2))
        pair.append(nursery.start(*words))
        while not any(child.ended() for child in pair):
            time.sleep(0.01)
        loser, winner = sorted(pair, key=lambda child: not child.ended())
        slowest = max(slowest, time.monotonic() - loser.began)
        done = loser.wait()
        assert done.code == 4
        expected = f"is held by process {winner.pid} on host {socket.gethostname()}"
        assert expected in done.error()
        assert not winner.ended()
        winner.send(signal.SIGKILL)
        assert winner.wait().code == 137
        assert holder(run) == winner.pid  # its name is left, its lock is not
        third = nursery.start(*words)
        third.until(lambda run=run, third=third: holder(run) == third.pid, timeout=30)
        assert not third.ended(), third.wait()
        third.send(signal.SIGKILL)
        third.wait()
    assert slowest <= 5
    print(f"20 races, 20 takeovers; the slowest loser took {slowest:.2f} s")
