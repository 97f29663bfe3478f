# SPDX-License-Identifier: Apache-2.0
"""One piece of work in several forms, timed against each other and against the machine."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import clock
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer


class Effort(NamedTuple):
    """How much a run may cost.

    Attributes:
      rounds: how often each form is timed.
      seconds: how long one timing should last; short work is repeated.
      tiny: shapes that only show that everything works.
    """

    rounds: int = 9
    seconds: float = 0.1
    tiny: bool = False


FULL, QUICK, TINY = Effort(), Effort(rounds=5, seconds=0.03), Effort(1, 0.0, tiny=True)


class Work(NamedTuple):
    """A function and its arguments.

    Attributes:
      function: traced once; returns arrays.
      args: what it is called with.
      donated: whether the first argument is given away and comes back as the first result, as the
        state of a training step does.
      units: how many times the case's work one call does, such as the steps of a loop.
    """

    function: Callable
    args: tuple
    donated: bool = False
    units: int = 1


class Case(NamedTuple):
    """What is compared.

    Attributes:
      name: of the work and its size.
      forms: by name; the first is ours, to which the others are compared.
      torch: name and sizes of the same work in `benchmarks.peers`; None if it has no peer there.
    """

    name: str
    forms: Mapping[str, Work]
    torch: tuple[str, Mapping[str, Any]] | None = None


class Compiled:
    """A form ready to run: compiled ahead of time, with the compiler's own account of the work."""

    def __init__(self, work: Work):
        start = time.perf_counter()
        jitted = jax.jit(work.function, donate_argnums=(0,) if work.donated else ())
        self.executable = jitted.lower(*work.args).compile()
        self.compile_seconds = time.perf_counter() - start
        cost = self.executable.cost_analysis() or {}
        self.flops, self.bytes = (
            float(cost.get(name, math.nan)) for name in ("flops", "bytes accessed")
        )
        # Donation would take the arrays away from the other forms.
        first = jax.tree.map(jnp.copy, work.args[0]) if work.donated else work.args[0]
        self.args = (first, *work.args[1:])
        self.work, self.repeats = work, 1

    def __call__(self) -> float:
        """Seconds for one unit of the work."""
        start = time.perf_counter()
        for _ in range(self.repeats):
            result = self.executable(*self.args)
            if self.work.donated:
                self.args = (result[0], *self.args[1:])
        jax.block_until_ready(result)
        return (time.perf_counter() - start) / (self.repeats * self.work.units)

    def calibrate(self, seconds: float) -> None:
        """Repeat short work until a timing lasts about `seconds`."""
        self()  # the first call pays for buffers that later ones reuse
        once = self() * self.work.units
        self.repeats = max(1, math.ceil(seconds / max(once, 1e-9))) if seconds else 1


def rows(
    cases: Iterable[Case], effort: Effort, limits: Limits, peer: Peer | None = None
) -> Iterator[dict[str, Any]]:
    """One row a form: times, the ratio to ours and the fraction of the machine's limit."""
    for case in cases:
        forms = {name: Compiled(work) for name, work in case.forms.items()}
        for form in forms.values():
            form.calibrate(effort.seconds)
        timers: dict[str, Callable[[], float]] = dict(forms)
        if peer is not None and case.torch is not None:
            timers |= peer.timers(*case.torch, effort.seconds)
        times = clock.in_turn(timers, effort.rounds)
        ours = times[next(iter(forms))]
        for name, seconds in times.items():
            low, middle, high = (round(t * 1e6, 2) for t in clock.quartiles(seconds))
            row = {"case": case.name, "form": name, "us": middle, "low us": low, "high us": high}
            row["time / ours"] = round(float(np.median(seconds / ours)), 3)
            yield row | (_account(forms[name], low / 1e6, limits) if name in forms else {})


def _account(form: Compiled, seconds: float, limits: Limits) -> dict[str, Any]:
    """What the compiler says of the work, and the least time the machine needs for it.

    The compiler counts the body of a loop once, whatever its trip count; a loop's rows carry no
    account of their own.
    """
    found: dict[str, Any] = {"compile s": round(form.compile_seconds, 3)}
    if form.work.units > 1 or not math.isfinite(form.flops + form.bytes):
        return found
    least = max(form.flops / limits.flops_per_second, form.bytes / limits.bytes_per_second)
    return found | {
        "MFLOP": round(form.flops / 1e6, 3),
        "MB": round(form.bytes / 1e6, 3),
        "fraction of limit": round(least / seconds, 3),
    }
