# SPDX-License-Identifier: Apache-2.0
"""Areas under curves against scikit-learn and the definition, ties included."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxml.metrics import classification as metric

RNG = np.random.default_rng(0)


def samples(n_levels):
    """Scores that carry information, on so many distinct levels."""
    labels = RNG.random(500) < 0.3
    return labels, np.round((RNG.normal(size=500) + labels) * n_levels / 8) / n_levels


@pytest.mark.parametrize("n_levels", [4, 40, 1e9])
def test_areas_match_scikit_learn_with_ties(n_levels, x64):
    """Few, some and no ties."""
    labels, scores = samples(n_levels)
    assert (len(np.unique(scores)) == 500) == (n_levels == 1e9)
    args = jnp.asarray(labels), jnp.asarray(scores)
    expected = sklearn.metrics.roc_auc_score(labels, scores)
    np.testing.assert_allclose(metric.roc_auc(*args), expected, rtol=1e-12)
    expected = sklearn.metrics.average_precision_score(labels, scores)
    np.testing.assert_allclose(metric.average_precision(*args), expected, rtol=1e-12)


def test_the_roc_area_is_the_probability_to_rank_a_pair_right(x64):
    """P(s⁺ > s⁻) + ½P(s⁺ = s⁻), by all pairs; invariant under rising maps; 1 − itself mirrored."""
    labels, scores = samples(6)
    pairs = itertools.product(scores[labels], scores[~labels])
    expected = np.mean([0.5 * (np.sign(p - n) + 1) for p, n in pairs])
    y, s = jnp.asarray(labels), jnp.asarray(scores)
    np.testing.assert_allclose(metric.roc_auc(y, s), expected, rtol=1e-12)
    assert metric.roc_auc(y, jnp.exp(s)) == metric.roc_auc(y, s)
    np.testing.assert_allclose(metric.roc_auc(y, -s), 1 - expected, rtol=1e-12)
    np.testing.assert_allclose(metric.roc_auc(~y, s), 1 - expected, rtol=1e-12)


def test_constant_and_perfect_scores(x64):
    """Without information: ½, and the rate of positives; perfect: 1 and 1; infinities order too."""
    y = jnp.asarray(samples(4)[0])
    flat = jnp.zeros(y.shape)
    assert metric.roc_auc(y, flat) == 0.5
    np.testing.assert_allclose(metric.average_precision(y, flat), np.asarray(y).mean(), rtol=1e-12)
    for perfect in (y.astype(float), jnp.where(y, jnp.inf, -jnp.inf)):
        assert metric.roc_auc(y, perfect) == 1
        assert metric.average_precision(y, perfect) == 1


def test_the_area_from_counts_is_exact_for_rounded_scores(x64):
    """Merged from two batches: what scikit-learn gives for scores rounded down to thresholds."""
    labels, scores = samples(1e9)
    edges = np.linspace(-0.3, 0.3, 33)
    bins = np.searchsorted(edges, scores, side="right")
    assert 0 in bins
    assert 33 in bins
    halves = [
        metric.score_counts(jnp.asarray(y), jnp.asarray(s), jnp.asarray(edges))
        for y, s in zip(np.split(labels, 2), np.split(scores, 2), strict=True)
    ]
    counts = metric.merge(*halves)
    assert counts.positive.shape == (34,)
    assert counts.positive.sum() == labels.sum()
    np.testing.assert_array_equal(counts.negative, np.bincount(bins[~labels], minlength=34))
    for ours, theirs in (
        (metric.roc_auc_of_counts, sklearn.metrics.roc_auc_score),
        (metric.average_precision_of_counts, sklearn.metrics.average_precision_score),
    ):
        np.testing.assert_allclose(ours(counts), theirs(labels, bins), rtol=1e-12)


def test_a_score_on_a_threshold_lies_above_it():
    counts = metric.score_counts(
        jnp.ones(3, bool), jnp.array([0.0, 0.5, 1.0]), jnp.array([0.5, 1.0])
    )
    np.testing.assert_array_equal(counts.positive, [1, 1, 1])


def test_one_class_against_the_rest_is_a_vmap(x64):
    """The macro area of several classes, as scikit-learn's `ovr`."""
    labels = RNG.integers(0, 4, size=300)
    p = RNG.dirichlet(np.ones(4), 300)
    areas = jax.jit(jax.vmap(metric.roc_auc, in_axes=1))(
        jnp.asarray(np.eye(4, dtype=bool)[labels]), jnp.asarray(p)
    )
    expected = sklearn.metrics.roc_auc_score(labels, p, multi_class="ovr")
    np.testing.assert_allclose(metric.macro(areas), expected, rtol=1e-12)


def test_a_missing_kind_is_what_the_caller_says_and_nan_is_never_ranked():
    """Both areas need positives, the ROC area negatives too; a NaN score gives NaN."""
    s = jnp.arange(4.0)
    none, every = jnp.zeros(4, bool), jnp.ones(4, bool)
    for y in (none, every):
        assert np.isnan(metric.roc_auc(y, s))
        assert metric.roc_auc(y, s, zero_division=0.5) == 0.5
    assert np.isnan(metric.average_precision(none, s))
    assert metric.average_precision(none, s, zero_division=0.0) == 0
    assert metric.average_precision(every, s) == 1
    one = jnp.array([True, True, False, True])
    np.testing.assert_allclose(metric.roc_auc(one, s), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(metric.roc_auc(~one, s), 2 / 3, rtol=1e-6)
    assert metric.average_precision(~one, s) == 0.5
    for area in (metric.roc_auc, metric.average_precision):
        assert np.isnan(area(jnp.zeros(0, bool), jnp.zeros(0)))
        assert np.isnan(area(jnp.array([True, False, True, False]), s.at[1].set(jnp.nan)))
