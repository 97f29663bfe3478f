# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance against closed forms."""

import numpy as np
import pytest
from scipy import linalg

from jaxml.metrics import Moments, frechet_distance, moments

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


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="features"):
        moments(np.ones((1, 3)))
    with pytest.raises(ValueError, match="features"):
        moments(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="second"):
        frechet_distance(law(2), law(3))
