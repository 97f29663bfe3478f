# SPDX-License-Identifier: Apache-2.0
"""Laws of the comparison of update rules: alike at the start, judged at their own best rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import optimizers_digits as experiment
from experiments.optimizers_digits import FACTORS, GROUPS, RULES, Config
from jaxml import optimizers

N = len(FACTORS)


@pytest.fixture(scope="module")
def built():
    return experiment.build(Config(width=4, batch_size=8), None)


def test_every_rule_of_the_library_takes_part():
    """Each exported rule is in the table, and each of the table in a panel."""
    rules = {"adafactor", "adagrad", "adam", "adamw", "amsgrad", "lamb", "lion", "momentum"}
    rules |= {"muon", "nadam", "nesterov", "radam", "rmsprop", "schedule_free", "sgd"}
    assert rules <= set(optimizers.__all__)
    assert set(RULES) - {"rmsprop_centered"} == rules
    assert set().union(*GROUPS.values()) == set(RULES)


def test_all_nets_begin_alike(built):
    """One initialization for every rule and rate."""
    for leaves in zip(*map(jax.tree.leaves, built.model.values()), strict=True):
        for leaf in leaves:
            np.testing.assert_array_equal(leaf, np.broadcast_to(leaves[0][0], leaf.shape))


def test_schedule_free_is_judged_at_its_average(built):
    """x = (y − 0.1 z)/0.9 of the rule's state; all other nets as they are."""
    state = built.rule.init(built.model, jax.random.key(0))
    z = state["schedule_free"]["rule"]["z"]
    state["schedule_free"]["rule"]["z"] = jax.tree.map(lambda leaf: leaf + 1.0, z)
    learned = built.learned(built.model, state)
    for before, after in zip(
        *(jax.tree.leaves(m["schedule_free"]) for m in (built.model, learned)), strict=True
    ):
        np.testing.assert_allclose(after, before - 0.1 / 0.9, atol=1e-5)
    for name in set(RULES) - {"schedule_free"}:
        jax.tree.map(np.testing.assert_array_equal, learned[name], built.model[name])


def test_the_best_rate_is_never_one_that_broke_down(built, monkeypatch):
    """NaN and infinity lose to any number, on held-out data and in the log."""
    costs = np.array([2.0, np.nan, 0.5, np.inf, 1.0, np.nan, 3.0])
    fake = jnp.asarray(np.repeat(costs[:, None], 4, axis=1))
    monkeypatch.setattr(experiment, "_judge", lambda *args: (fake, fake > 0))
    batch = {"x": np.zeros((4, 64)), "y": np.zeros(4, np.int32)}
    assert set(experiment.choose(batch, built.model).values()) == {2}
    assert set(experiment.validate(batch, built.model, jax.random.key(0)).values()) == {0.5}


def test_a_rate_is_the_customary_one_times_its_factor():
    """The middle factor is 1, half a decade apart from its neighbours."""
    np.testing.assert_allclose(np.diff(np.log10(FACTORS)), 0.5, rtol=1e-12)
    np.testing.assert_allclose(experiment.rate_of("sgd", N // 2), RULES["sgd"][0])


def test_the_test_split_is_judged_at_the_rate_that_validation_prefers(built, monkeypatch):
    """Cost decides on held-out data, accuracy is that of the test data; the best comes first."""
    right = np.zeros((N, 4), bool)
    right[4, :3], right[2] = True, True  # the chosen rate is right in three of four

    def judge(nets, x, y):
        cost = np.abs(np.arange(N) - 4.0)[:, None] * np.ones(4)
        return (cost, right) if len(x) == 4 else (-cost[:, :2], right[:, 2:])

    monkeypatch.setattr(experiment, "_judge", judge)
    held_out, test = ({"x": np.zeros((n, 64)), "y": np.zeros(n, np.int32)} for n in (4, 2))
    seen = []
    found = experiment.evaluate(
        {"data": "d"}, held_out, test, built.model, jax.random.key(0), seen.append
    )
    assert [item.value for item in found] == [0.5] * len(RULES)
    assert f"sgd at {RULES['sgd'][0] * 10**0.5:.2g}" in {item.family for item in found}
    assert seen == list(range(1, len(RULES) + 1))
    told = experiment.diagnose(held_out, built.model, jax.random.key(0))
    assert told["sgd"] == "best at 0.32; within 2 % of its best accuracy from 0.032 to 0.032"


def test_the_log_becomes_a_picture_and_panels(tmp_path):
    """Every rule has a curve in a panel, at its best rate; the picture is written."""
    losses = 1 + np.arange(N) * np.ones((40, 1)) / np.arange(1, 41)[:, None]
    columns = {"step": np.arange(1, 41), **{f"{name}/loss": losses for name in RULES}}
    panels = experiment.panels(columns)
    assert {label.split()[0] for group in panels.values() for label in group} == set(RULES)
    for group in panels.values():
        for series in group.values():
            np.testing.assert_array_equal(series.values, losses[:, 0])
    experiment.plot(columns, tmp_path)
    assert (tmp_path / "final-curves.png").stat().st_size > 10_000
