# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM: the first asks, the second Ctrl-C ends the process at once."""

import math
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

GRACEFUL = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 25.0  # seconds that work may go on after a signal; schedulers send SIGKILL after 30


class Interrupted(BaseException):
    """A signal asked the process to end; `exit_code` is the shell's 128 + number.

    Like `KeyboardInterrupt` it is no `Exception`, so that no handler of errors swallows it.
    """

    def __init__(self, number: int):
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Inbox:
    """Where a signal waits until the work has reached a point at which it may stop."""

    def __init__(self):
        self.pending: int | None = None
        self._deferred = 0

    @contextmanager
    def deferred(self) -> Iterator["Inbox"]:
        """Inside, a signal is noted in `pending`; outside, it raises `Interrupted` at once."""
        self._deferred += 1
        try:
            yield self
        finally:
            self._deferred -= 1

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.pending is not None:
            raise Interrupted(self.pending)

    def receive(self, number: int) -> None:
        """Note the signal, and raise unless the work asked to defer."""
        self.pending = number
        if not self._deferred:
            raise Interrupted(number)


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Receive SIGINT and SIGTERM for as long as the context lasts (main thread only).

    Python runs its handlers between byte codes, so a long compilation would hold a signal back.
    A thread therefore reads the wake-up pipe: at the second SIGINT it ends the process at once,
    and `PATIENCE` seconds after the first signal, whatever the main thread does.
    """
    box = Inbox()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    previous = {number: signal.getsignal(number) for number in GRACEFUL}
    previous_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in GRACEFUL:
        signal.signal(number, lambda got, _frame: box.receive(got))
    watcher = threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True)
    watcher.start()
    try:
        yield box
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int) -> None:
    """End the process at the second interrupt, or when patience is over after the first signal.

    Ending at once is safe: a checkpoint under way is then as if it had not been begun.
    """
    n_interrupts, first, deadline = 0, 0, math.inf
    while True:
        left = max(0.0, deadline - time.monotonic()) if first else None
        if not select.select([reader], [], [], left)[0]:
            name = signal.Signals(first).name
            os.write(2, f"error: interrupted by {name}, {PATIENCE:g} s ago\n".encode())
            os._exit(128 + first)
        numbers = os.read(reader, 64)
        if not numbers:
            return
        n_interrupts += numbers.count(signal.SIGINT)
        if n_interrupts >= 2:
            os._exit(128 + signal.SIGINT)
        asked = [number for number in numbers if number in GRACEFUL]
        if asked and not first:
            first, deadline = asked[0], time.monotonic() + PATIENCE
