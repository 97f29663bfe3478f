# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance against closed forms."""

import numpy as np
import pytest
from scipy import linalg

from jaxml.metrics import Moments, frechet_distance, frechet_error, moments

RNG = np.random.default_rng(0)


def law(d, rank=None):
    a = RNG.normal(size=(d, rank or d))
    return Moments(RNG.normal(size=d), a @ a.T)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_it_is_the_formula_with_a_matrix_root(d):
    """Against SciPy's root of S S′, where both are regular."""
    first, second = law(d), law(d)
    root = linalg.sqrtm(first.covariance @ second.covariance).real
    expected = np.sum((first.mean - second.mean) ** 2) + np.trace(
        first.covariance + second.covariance - 2 * root
    )
    np.testing.assert_allclose(frechet_distance(first, second), expected, rtol=1e-9)
    np.testing.assert_allclose(frechet_distance(second, first), expected, rtol=1e-9)


def test_laws_that_commute_have_a_plain_distance():
    """Σ (m − m′)² + (s − s′)² for diagonal covariances, one of them singular."""
    s, other = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 1.0])
    m = np.array([1.0, 0.0, -2.0])
    first, second = Moments(m, np.diag(s**2)), Moments(0 * m, np.diag(other**2))
    expected = (m**2).sum() + ((s - other) ** 2).sum()
    np.testing.assert_allclose(frechet_distance(first, second), expected, rtol=1e-12)


def test_a_set_has_no_distance_from_itself():
    """With fewer rows than numbers too; and it is never below 0 by more than rounding."""
    for n in (3, 50):
        x = RNG.normal(size=(n, 20)) * 100
        own = moments(x)
        assert abs(frechet_distance(own, own)) <= 1e-8 * np.trace(own.covariance)


def test_moments_are_those_of_numpy_whatever_the_order():
    x = RNG.normal(size=(40, 5)).astype(np.float32)
    found = moments(x)
    np.testing.assert_allclose(found.mean, x.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(x.astype(np.float64).T), rtol=1e-12)
    again = moments(x[RNG.permutation(40)])
    np.testing.assert_allclose(again.covariance, found.covariance, rtol=1e-10, atol=1e-14)


def test_samples_of_one_law_are_apart_by_a_share_of_1_over_n():
    """The mean over draws halves where n doubles, and is positive."""
    far = []
    for n in (100, 200, 400):
        pairs = RNG.normal(size=(60, 2, n, 4))
        far.append(np.mean([frechet_distance(*map(moments, pair)) for pair in pairs]))
    assert min(far) > 0
    np.testing.assert_allclose(np.array(far[:-1]) / far[1:], 2, rtol=0.2)


def test_the_error_is_that_of_the_delta_method():
    """Of numbers, F = (m − m′)² + (s − s′)²: m̂ errs by s/√n, ŝ by s/√(2n), and each set counts."""
    n, m = np.array([20_000, 5000]), np.array([1.5, 0.0])
    s = np.array([2.0, 1.0])
    sets = [mean + scale * RNG.normal(size=(k, 1)) for k, mean, scale in zip(n, m, s, strict=True)]
    slopes = np.array([(2 * (m[0] - m[1])) ** 2, (2 * (s[0] - s[1])) ** 2 / 2])
    expected = np.sqrt((slopes.sum() * s**2 / n).sum())
    np.testing.assert_allclose(frechet_error(*sets, n_groups=200), expected, rtol=0.15)
    assert frechet_error(sets[0], sets[1][:1000]) > 1.5 * frechet_error(*sets)


def test_the_error_is_the_spread_over_repetitions():
    """Root mean square over 60 pairs of sets against the deviation of their distances."""
    mixing = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 2.0]])
    sets = [
        (RNG.normal(size=(200, 3)) @ mixing + 0.5, RNG.normal(size=(300, 3))) for _ in range(60)
    ]
    distances = [frechet_distance(*map(moments, pair)) for pair in sets]
    told = np.sqrt(np.mean([frechet_error(*pair, n_groups=20) ** 2 for pair in sets]))
    np.testing.assert_allclose(told, np.std(distances), rtol=4.5 / np.sqrt(2 * 60))


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="n_groups"):
        frechet_error(np.ones((30, 2)), np.ones((200, 2)))
    with pytest.raises(ValueError, match="features"):
        moments(np.ones((1, 3)))
    with pytest.raises(ValueError, match="features"):
        moments(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="second"):
        frechet_distance(law(2), law(3))
