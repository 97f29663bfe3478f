# SPDX-License-Identifier: Apache-2.0
"""What is said of histories that are known."""

import numpy as np

from experiments.gan_findings import between_looks, findings


def history(n=400, ahead=0.7, spread=0.9):
    """A log of n steps whose loss falls from 4 to 0."""
    return {
        "step": np.arange(1, n + 1),
        "play/critic/ahead": np.full(n, ahead),
        "play/generator/spread": np.full(n, spread),
        "play/generator/loss": np.linspace(4, 0, n),
    }


LOOKS = {"step": np.array([100, 200, 300, 400]), "distance": np.array([8.0, 4.0, 2.0, 1.0])}


def test_a_healthy_run_has_no_finding_but_its_correlation():
    assert findings(history(), {}).keys() == {"findings"}
    told = findings(history(), LOOKS)
    assert told.keys() == {"loss against quality"}
    assert "1.00" in told["loss against quality"]


def test_findings_bring_their_numbers_and_remedies():
    told = findings(history(ahead=0.97, spread=0.1), LOOKS)
    assert told.keys() == {"loss against quality", "critic dominance", "mode collapse"}
    assert "97.0%" in told["critic dominance"]
    assert "what helps: " in told["mode collapse"]
    leading = findings(history(ahead=0.97), LOOKS, judge_lead=False)
    assert leading.keys() == {"loss against quality"}


def test_a_loss_that_rises_as_samples_get_better_says_nothing_of_them():
    told = findings(history(), {**LOOKS, "distance": LOOKS["distance"][::-1]})
    assert "-1.00" in told["loss against quality"]
    assert "uninformative loss" in told


def test_losses_are_means_since_the_last_look():
    log = history(4)
    log["play/generator/loss"] = np.array([1.0, 3.0, np.nan, 5.0])
    assert between_looks(log, np.array([2, 4])) == [2.0, 5.0]
    assert between_looks(log, np.zeros(0)) == []
