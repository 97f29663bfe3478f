# SPDX-License-Identifier: Apache-2.0
"""Log loss, top-k accuracy and merged means against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxml.metrics import classification as metric

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, size=300)
P = RNG.dirichlet(np.ones(5), 300)

log_loss = jax.jit(metric.log_loss)
top_k = jax.jit(metric.top_k, static_argnames="k")


def test_log_loss_matches_scikit_learn(x64):
    """−log p_y, one for each example; infinite at p_y = 0 and NaN without a class."""
    costs = log_loss(jnp.asarray(LABELS), jnp.asarray(P))
    assert costs.shape == (300,)
    np.testing.assert_allclose(costs.mean(), sklearn.metrics.log_loss(LABELS, P), rtol=1e-12)
    p = jnp.array([[0.0, 1.0]])
    assert log_loss(jnp.array([0]), p)[0] == jnp.inf
    assert log_loss(jnp.array([1]), p)[0] == 0
    assert np.isnan(log_loss(jnp.array([-1]), p)[0])


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("n_levels", [2, 1e9])
def test_top_k_accuracy_matches_scikit_learn_with_ties(k, n_levels, x64):
    """Few levels of the scores leave many ties, none would leave every class a success."""
    scores = np.round(P * n_levels)
    hits = top_k(jnp.asarray(LABELS), jnp.asarray(scores), k=k)
    expected = sklearn.metrics.top_k_accuracy_score(LABELS, scores, k=k)
    np.testing.assert_allclose(np.asarray(hits).mean(), expected, rtol=1e-12)
    flat = top_k(jnp.asarray(LABELS), jnp.zeros((300, 5)), k=k)
    np.testing.assert_array_equal(flat, np.isin(LABELS, range(5 - k, 5)))


def test_top_k_never_takes_nan_or_a_label_of_no_class_for_a_success():
    labels = jnp.array([0, 1, -1, 3, 2])
    scores = jnp.array([[jnp.nan, 0, 0], [9, 1, jnp.nan], [1, 1, 1], [1, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(top_k(labels, scores, k=3), [0, 0, 0, 0, 1])
    for bad in (0, 4):
        with pytest.raises(ValueError, match="k: expected a number from 1 to 3"):
            metric.top_k(labels, scores, k=bad)


def test_examples_may_have_any_number_of_axes():
    """A grid of examples and a single one: as the examples in a row."""
    labels, p = jnp.asarray(LABELS), jnp.asarray(P, jnp.float32)
    grid, q = labels.reshape(4, 75), p.reshape(4, 75, 5)
    np.testing.assert_array_equal(np.ravel(log_loss(grid, q)), log_loss(labels, p))
    hits = np.asarray(top_k(labels, p, k=2))
    np.testing.assert_array_equal(np.ravel(top_k(grid, q, k=2)), hits)
    assert top_k(labels[0], p[0], k=2) == hits[0]


def test_a_merged_mean_is_the_mean_of_all():
    """Batches of different lengths, hidden examples and truth values."""
    v = jnp.array([1.0, 2.0, 4.0, jnp.nan])
    kept = jnp.array([True, True, True, False])
    assert metric.value_of(metric.mean(v, where=kept)) == pytest.approx(7 / 3)
    both = metric.merge(metric.mean(v[:1]), metric.mean(v, where=kept))
    assert metric.value_of(both) == 2
    assert both.n == 4
    assert metric.value_of(metric.mean(jnp.array([True, False]))) == 0.5
    assert np.isnan(metric.value_of(metric.mean(v)))
    assert np.isnan(metric.value_of(metric.mean(v, where=~kept | kept)))


def test_a_mean_of_nothing_is_what_the_caller_says():
    nothing = metric.mean(jnp.zeros(0))
    assert np.isnan(metric.value_of(nothing))
    assert metric.value_of(nothing, zero_division=0.0) == 0


def test_half_precision_is_summed_in_single():
    total = metric.mean(jnp.ones(1000, jnp.bfloat16))
    assert metric.value_of(total) == 1
    assert total.total.dtype == jnp.float32
