# SPDX-License-Identifier: Apache-2.0
"""Benchmarks cannot rot: each runs here at the smallest size, without a judgement of its times."""

import json

from benchmarks import clock, dispatch, ensembles


def test_dispatch_runs_and_reports(capsys):
    """One JSON line with the question, the numbers and the versions."""
    clock.report("dispatch", dispatch.measure(width=4, steps=4, chunk=2, rounds=1))
    line = json.loads(capsys.readouterr().out)
    assert {"question", "one by one us/step", "overhead us/step", "jax"} <= set(line)


def test_an_ensemble_is_its_members():
    """The losses of members together and apart agree to 1e-5."""
    numbers = ensembles.measure(width=4, size=2, steps=3, rounds=1)
    assert numbers["largest relative difference of a loss"] < 1e-5
