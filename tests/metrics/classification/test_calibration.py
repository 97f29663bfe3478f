# SPDX-License-Identifier: Apache-2.0
"""Calibration against an independent count and against calibrated predictions."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.calibration

from jaxml.metrics import classification as metric

RNG = np.random.default_rng(0)
P = np.concatenate([RNG.random(500), [0.0, 0.1, 0.2, 0.5, 1.0]])
RIGHT = RNG.random(505) < P**2  # overconfident


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_calibration_error_is_the_sum_of_its_definition(n_bins, x64):
    """Σ (n_b/n) |acc_b − conf_b| over masks ((b − 1)/B, b/B]."""
    expected, found = 0.0, 0
    for b in range(n_bins):
        inside = (b / n_bins < P) & ((b + 1) / n_bins >= P) | ((b == 0) & (P == 0))
        found += inside.sum()
        if inside.any():
            expected += inside.mean() * abs(RIGHT[inside].mean() - P[inside].mean())
    assert found == len(P)
    bins = metric.reliability(jnp.asarray(RIGHT), jnp.asarray(P), n_bins=n_bins)
    np.testing.assert_allclose(metric.calibration_error(bins), expected, rtol=1e-12)
    assert expected > 0.1
    if n_bins == 15:
        default = metric.calibration_error(metric.reliability(jnp.asarray(RIGHT), jnp.asarray(P)))
        np.testing.assert_allclose(default, expected, rtol=1e-12)


def test_bins_match_the_calibration_curve_of_scikit_learn(x64):
    """The part that is right and the mean confidence of every bin that is not empty."""
    inside = slice(0, 500)  # scikit-learn puts the borders of a bin elsewhere
    bins = metric.reliability(jnp.asarray(RIGHT[inside]), jnp.asarray(P[inside]), n_bins=8)
    part, confidence = sklearn.calibration.calibration_curve(RIGHT[inside], P[inside], n_bins=8)
    np.testing.assert_allclose(np.divide(bins.right, bins.total), part, rtol=1e-12)
    np.testing.assert_allclose(np.divide(bins.confidence, bins.total), confidence, rtol=1e-12)


def test_calibrated_predictions_have_no_error():
    """p right in a part p of the cases: 0; always sure and always wrong: 1."""
    p = jnp.repeat(jnp.array([0.25, 0.75]), 4)
    right = jnp.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    assert metric.calibration_error(metric.reliability(right, p)) == 0
    wrong = metric.reliability(jnp.zeros(4, bool), jnp.ones(4))
    assert metric.calibration_error(wrong) == 1
    single = metric.reliability(jnp.array(True), jnp.array(0.75))
    assert metric.calibration_error(single) == 0.25


def test_nothing_has_no_error_and_bad_values_are_not_hidden():
    empty = metric.reliability(jnp.zeros(0, bool), jnp.zeros(0))
    assert np.isnan(metric.calibration_error(empty))
    assert metric.calibration_error(empty, zero_division=0.0) == 0
    bad = metric.reliability(jnp.ones(2, bool), jnp.array([0.5, jnp.nan]))
    assert np.isnan(metric.calibration_error(bad))
    half = metric.reliability(jnp.ones(2, bool), jnp.array([0.5, 0.25], jnp.bfloat16))
    assert half.confidence.dtype == jnp.float32
    with pytest.raises(ValueError, match="n_bins: expected at least 1"):
        metric.reliability(jnp.ones(2, bool), jnp.ones(2), n_bins=0)
