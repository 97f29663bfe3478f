# SPDX-License-Identifier: Apache-2.0
"""Laws of interruption."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxml.training.signal import Interrupted, inbox


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_waits_for_the_check(number):
    """Inside `deferred` the work goes on until it asks."""
    with inbox() as box, box.deferred():
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        assert box.pending == number
        with pytest.raises(Interrupted) as caught:
            box.check()
    assert caught.value.exit_code == 128 + number


def interrupt_now():
    with inbox():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_outside_it_raises_at_once():
    """Where nothing needs to be finished, a signal ends the work."""
    start = time.monotonic()
    with pytest.raises(Interrupted, match="SIGTERM"):
        interrupt_now()
    assert time.monotonic() - start < 2


def test_handlers_are_given_back():
    """A library leaves the process as it found it."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with inbox():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


BUSY = """
import ctypes
from jaxml.training.signal import inbox
with inbox() as box, box.deferred():
    print("ready", flush=True)
    while True:
        ctypes.CDLL(None).sleep(30)
"""


def test_the_second_interrupt_ends_a_process_stuck_outside_python():
    """A thread watches, since a handler cannot run while C code does."""
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - start < 2
    process.stdout.close()
