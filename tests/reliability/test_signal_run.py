# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and Ctrl-C in every phase of a run: a prompt end, its exit code, a bitwise resume."""

import signal
import time

import pytest

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT"}
OPTIONS = ("--tiny", "--steps", "40")

HIT = """
    import os, threading, time
    from pathlib import Path
    from experiments import outcome, vae_digits, vae_outcome
    from jaxml.training import loop
    from jaxml.training.storage import manifest

    def hit():
        Path({mark!r}).write_text(str(time.time()))
        os.kill(os.getpid(), {number})

    def at_call(n, function, act=hit):
        calls = []
        def patched(*args, **kwargs):
            calls.append(0)
            if len(calls) == n:
                act()
            return function(*args, **kwargs)
        return patched

    build, in_memory = loop.build, vae_digits.in_memory
"""
PHASES = {
    "compilation": """
    loop.build = lambda *args: (lambda made: made._replace(shapes=at_call(1, made.shapes)))(
        build(*args))
    """,
    "step": """
    loop.build = lambda *args: (lambda made: made._replace(
        run=at_call(3, made.run, lambda: threading.Timer(0, hit).start())))(build(*args))
    """,
    "save": "manifest.write = at_call(3, manifest.write)",
    "look": "outcome.look = at_call(2, outcome.look)",
    "data wait": """
    def waiting(*args, **kwargs):
        made = in_memory(*args, **kwargs)
        return made._replace(feed=at_call(4, made.feed, lambda: (hit(), time.sleep({sleep}))))
    vae_digits.in_memory = waiting
    """,
    "evaluation": "vae_outcome._evidence = at_call(2, vae_outcome._evidence)",
}


def before(phase, mark, number, sleep=1):
    code = HIT + "\n    " + PHASES[phase].strip("\n ") + "\n"
    return code.format(mark=str(mark), number=int(number), sleep=sleep)


def test_sigterm_amid_training_saves_and_resumes(nursery, law, small, tmp_path):
    """Exit 143, one line, the step that was reached is saved; the resumed run ends the same."""
    reference, run = nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    child = nursery.start(*words)
    log = run / "metrics.jsonl"
    child.until(lambda: log.exists() and log.read_text().count("\n") >= 6)
    child.send(signal.SIGTERM)
    done = child.wait(30)
    assert done.code == 143
    assert done.error() == "error: interrupted by SIGTERM"
    assert law.saved(run)[-1] == law.rows(log)[-1] < 40
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("number", NAMES)
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_in_any_phase(nursery, law, small, tmp_path, phase, number):
    """12 of 12: exit 143 or 130 within 30 s, and the resumed run ends as the uninterrupted one."""
    reference, run = nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    mark = tmp_path / "mark"
    done = nursery.run(*words, before=before(phase, mark, number))
    took = time.time() - float(mark.read_text())
    assert done.code == 128 + number
    assert done.error() == f"error: interrupted by {NAMES[number]}"
    assert took <= 30
    assert (run / "run.lock").read_bytes() == b""
    assert law.litter(run) == []
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, reference)
    print(f"{phase}, {NAMES[number]}: ended after {took:.1f} s")


@pytest.mark.slow
def test_the_second_interrupt_ends_at_once(nursery, law, small, tmp_path):
    """While data do not come the first waits; the second ends the process within 2 s."""
    reference, run = nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    mark = tmp_path / "mark"
    child = nursery.start(*words, before=before("data wait", mark, signal.SIGINT, sleep=100))
    child.until(mark.exists)
    time.sleep(1)
    assert not child.ended()
    child.send(signal.SIGINT)
    began = time.monotonic()
    assert child.wait(10).code == 130
    assert time.monotonic() - began <= 2
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, reference)


@pytest.mark.slow
def test_a_signal_ends_a_run_that_is_stuck(nursery, law, small, tmp_path):
    """Data that never come do not hold SIGTERM back for more than 30 s."""
    reference, run = nursery.reference("vae_digits", *OPTIONS, *small), tmp_path / "run"
    words = ("train", "vae_digits", *OPTIONS, *small, "--run-dir", run)
    mark = tmp_path / "mark"
    done = nursery.run(*words, before=before("data wait", mark, signal.SIGTERM, sleep=100))
    assert time.time() - float(mark.read_text()) <= 30
    assert (done.code, done.error()) == (143, "error: interrupted by SIGTERM, 25 s ago")
    assert nursery.run(*words, "--resume", "auto").code == 0
    law.same(run, reference)
