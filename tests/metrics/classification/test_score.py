# SPDX-License-Identifier: Apache-2.0
"""Scores of counted outcomes against scikit-learn, 0/0 included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxml.metrics import classification as metric

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, size=300)
GUESSES = np.where(RNG.random(300) < 0.5, LABELS, RNG.integers(0, 4, size=300))
LABELS[LABELS == 2] = 1  # class 2 never occurs
GUESSES[GUESSES == 3] = 0  # class 3 is never predicted; class 4 neither occurs nor is predicted
N_CLASSES = 5
SCORES = [
    (metric.precision, sklearn.metrics.precision_score, {}, {}),
    (metric.recall, sklearn.metrics.recall_score, {}, {}),
    (metric.f_score, sklearn.metrics.f1_score, {}, {}),
    (metric.f_score, sklearn.metrics.fbeta_score, {"beta": 2.0}, {"beta": 2}),
    (metric.f_score, sklearn.metrics.fbeta_score, {"beta": 0.5}, {"beta": 0.5}),
]


def counted():
    matrix = metric.confusion_matrix(jnp.asarray(LABELS), jnp.asarray(GUESSES), N_CLASSES)
    return matrix, metric.one_against_rest(matrix)


@pytest.mark.parametrize("policy", [0.0, 1.0, np.nan])
def test_scores_and_their_averages_match_scikit_learn(policy, x64):
    """Per class, micro, macro and weighted, for every policy of 0/0 that scikit-learn has."""
    _, counts = counted()
    for ours, theirs, option, their_option in SCORES:

        def expected(average, theirs=theirs, option=their_option):
            return theirs(LABELS, GUESSES, labels=range(N_CLASSES), average=average,
                          zero_division=policy, **option)  # fmt: skip

        scores = ours(counts, zero_division=policy, **option)
        np.testing.assert_allclose(scores, expected(None), rtol=1e-12)
        pooled = ours(metric.micro(counts), zero_division=policy, **option)
        np.testing.assert_allclose(pooled, expected("micro"), rtol=1e-12)
        np.testing.assert_allclose(metric.macro(scores), expected("macro"), rtol=1e-12)
        mean = metric.weighted(scores, counts)
        np.testing.assert_allclose(mean, expected("weighted"), rtol=1e-12)


def test_accuracies_match_scikit_learn(x64):
    """The accuracy, which is the micro recall, and the balanced one, which is the macro recall."""
    matrix, counts = counted()
    accuracy = sklearn.metrics.accuracy_score(LABELS, GUESSES)
    np.testing.assert_allclose(metric.accuracy(matrix), accuracy, rtol=1e-12)
    np.testing.assert_allclose(metric.recall(metric.micro(counts)), accuracy, rtol=1e-12)
    present = LABELS != 3  # scikit-learn counts only classes that occur
    balanced = sklearn.metrics.balanced_accuracy_score(LABELS[present], LABELS[present] * 0 + 1)
    matrix = metric.confusion_matrix(jnp.asarray(LABELS[present]), jnp.ones(present.sum(), int), 5)
    recalls = metric.recall(metric.one_against_rest(matrix))
    np.testing.assert_allclose(metric.macro(recalls), balanced, rtol=1e-12)


def test_specificity_is_the_recall_of_the_other_classes(x64):
    """TN/(TN + FP) of a class is the recall of "not this class"."""
    _, counts = counted()
    for k, ours in enumerate(metric.specificity(counts)):
        others, guessed = (np.not_equal(classes, k) for classes in (LABELS, GUESSES))
        expected = sklearn.metrics.recall_score(others, guessed)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
    everyone = metric.Outcomes(*(jnp.array(n) for n in (3, 0, 2, 0)))
    assert np.isnan(metric.specificity(everyone))
    assert metric.specificity(everyone, zero_division=0.5) == 0.5


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 3.0])
def test_the_f_score_is_the_printed_mean_of_precision_and_recall(beta, x64):
    """(β² + 1)PR/(β²P + R) where both are defined; precision at β = 0, recall for large β."""
    _, counts = counted()
    p, r = metric.precision(counts)[:2], metric.recall(counts)[:2]
    ours = metric.f_score(counts, beta=beta)[:2]
    np.testing.assert_allclose(ours, (beta**2 + 1) * p * r / (beta**2 * p + r), rtol=1e-14)
    np.testing.assert_allclose(metric.f_score(counts, beta=0.0)[:2], p, rtol=1e-14)
    np.testing.assert_allclose(metric.f_score(counts, beta=1e6)[:2], r, rtol=1e-10)


def test_zero_divided_by_zero_is_what_the_caller_says(x64):
    """NaN unless given, any number if given; averages leave NaN out and nothing else."""
    nothing = metric.Outcomes(*(jnp.zeros(3, int),) * 4)
    for score in (metric.precision, metric.recall, metric.specificity, metric.f_score):
        assert np.isnan(score(nothing)).all()
        np.testing.assert_array_equal(score(nothing, zero_division=0.25), 0.25)
    empty = jnp.zeros((3, 3), int)
    assert np.isnan(metric.accuracy(empty))
    assert metric.accuracy(empty, zero_division=1.0) == 1
    scores = jnp.array([0.5, jnp.nan, 1.0])
    assert metric.macro(scores) == 0.75
    counts = metric.Outcomes(*(jnp.array(n) for n in ([1, 7, 2], [0, 0, 0], [0, 0, 1], [0, 0, 0])))
    assert metric.weighted(scores, counts) == (0.5 + 3) / 4
    assert np.isnan(metric.macro(jnp.full(2, jnp.nan)))


def test_millions_of_examples_are_counted_exactly():
    """Counts above 2²⁴, which float32 would no longer raise by one."""
    counts = metric.Outcomes(*(jnp.array(n) for n in (2**24, 1, 0, 5)))
    total = metric.merge(counts, metric.Outcomes(*(jnp.array(n) for n in (1, 0, 0, 0))))
    assert total.true_positive == 2**24 + 1
    np.testing.assert_allclose(metric.precision(total), 1 - 2.0**-24, rtol=1e-7)


def test_scores_are_traced_like_any_other_function():
    """Under jit and vmap as without."""
    _, counts = counted()
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), counts)

    def report(counts):
        f = metric.f_score(counts, beta=2.0)
        return metric.macro(f), metric.weighted(f, counts), metric.precision(metric.micro(counts))

    traced = jax.jit(jax.vmap(report))(stacked)
    for ours, expected in zip(traced, report(counts), strict=True):
        np.testing.assert_allclose(ours, jnp.stack([expected] * 2), rtol=1e-6)


def test_a_negative_beta_is_refused():
    with pytest.raises(ValueError, match="beta: expected a number that is not negative"):
        metric.f_score(counted()[1], beta=-1.0)
