# SPDX-License-Identifier: Apache-2.0
"""Benchmarks cannot rot: each runs here at the smallest size, without a judgement of its times."""

import importlib
import json
from functools import partial
from importlib.util import find_spec

import jax
import numpy as np
import pytest

from benchmarks import clock, recurrence, report, table
from benchmarks.__main__ import QUESTIONS
from benchmarks.case import TINY
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer

PEERS = {"hidden_markov": "hmmlearn", "mixtures": "sklearn"}
"""Libraries beside PyTorch in which a question has peers."""
LIMITS = Limits(1e9, 1e9, 1e-6)
LONG = {"compile_time", "convolution", "dispatch", "ensembles", "families", "memory", "optimizers"}
LONG |= {"diffusion", "flows", "energies", "gans", "language", "pixels"}
LONG |= {"recurrence", "update_rules"}
"""Questions whose many forms take more than ten seconds to compile, whatever their size."""


@pytest.mark.parametrize(
    "question",
    [pytest.param(q, marks=pytest.mark.slow) if q in LONG else q for q in QUESTIONS],
)
def test_every_question_is_answered(question, tmp_path):
    """Every row names its case, is JSON with the versions, and is found in the table."""
    module = importlib.import_module(f"benchmarks.{question}")
    rows = list(module.lines(TINY, LIMITS, None))
    results = [json.loads(report.line({"question": question, **row})) for row in rows]
    assert results
    for row in results:
        assert {"case", "jax", "device", "revision"} <= set(row)
        assert row["case"] in table.markdown(results)
        assert all(np.isfinite(v) for v in row.values() if isinstance(v, float))
        assert row.get("largest relative difference of a loss", 0) < 1e-5
    table.picture(results, tmp_path / "results.png")
    compared = any(row.get("time / ours", 1.0) != 1.0 for row in results)
    assert (tmp_path / "results.png").exists() == compared


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("convolution", marks=pytest.mark.slow),
        "normalization",
        "attention",
        "losses",
        "graphs",
        "mixtures",
    ],
)
def test_the_forms_of_a_case_compute_the_same(question):
    """A ratio of two times means something only if both forms do the same work."""
    for case in importlib.import_module(f"benchmarks.{question}").cases(True):
        results = {name: jax.jit(work.function)(*work.args) for name, work in case.forms.items()}
        for name, result in results.items():
            ours = results["ours in a loop" if "loop" in name else "ours"]
            jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-3), result, ours)


@pytest.mark.slow
def test_the_character_models_are_the_same():
    """Ours and Flax's hold the same parameters: one loss, one gradient of the embedding."""
    tokens = jax.random.randint(jax.random.key(0), (2, 5), 0, recurrence.N_TOKENS)

    def loss(model):
        return recurrence.loss(model, tokens, jax.random.key(1))[0]

    for _, ours, plain in recurrence.models(True):
        value, gradient = jax.jit(jax.value_and_grad(loss))(ours)
        same, other = jax.jit(jax.value_and_grad(loss))(plain)
        np.testing.assert_allclose(value, same, rtol=1e-5)
        theirs = other.table.embedding[...]
        np.testing.assert_allclose(gradient.table[...], theirs, rtol=1e-3, atol=1e-6)


def test_torch_does_every_case_that_names_it():
    """Each variant is built and timed, in a process of its own, at the smallest size."""
    pytest.importorskip("torch")
    with Peer() as peer:
        for question in (
            "convolution",
            "normalization",
            "attention",
            "families",
            "flows",
            "diffusion",
            "gans",
            "recurrence",
            "language",
            "pixels",
            "energies",
            "graphs",
            "hidden_markov",
            "mixtures",
            "optimizers",
        ):
            for case in importlib.import_module(f"benchmarks.{question}").cases(True):
                if case.torch is not None:
                    timers = peer.timers(*case.torch, 0.0)
                    missing = question in PEERS and not find_spec(PEERS[question])
                    assert timers or missing
                    assert all(timer() > 0 for timer in timers.values())


def test_rounds_are_interleaved_and_complete():
    """Every case runs once a round, no case twice before all have run."""
    calls = []
    cases = {name: lambda name=name: calls.append(name) or 1.0 for name in "abc"}
    times = clock.in_turn(cases, 5)
    assert all(len(t) == 5 for t in times.values())
    for i in range(5):
        assert sorted(calls[3 * i : 3 * i + 3]) == ["a", "b", "c"]
