# SPDX-License-Identifier: Apache-2.0
"""Clusters: points in the colours they belong to, ellipses where they should be."""

import numpy as np
import pytest

from jaxml.training.figure import clusters, style

MEAN = np.array([[0.0, 0.0], [10.0, 0.0]])
COVARIANCE = np.array([np.eye(2), [[1.0, 0.0], [0.0, 4.0]]])
POINTS = np.array([[0.0, 3.0], [10.0, 6.0], [5.0, 3.0]])
SHARES = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


def colour(i):
    return np.array([int(style.COLOURS[i][j : j + 2], 16) for j in (1, 3, 5)]) / 255


def shown(pixels, wanted):
    """Rows and columns of the pixels of a colour."""
    return np.argwhere(np.abs(pixels - wanted).max(-1) < 0.02)


def test_points_have_the_mixed_colours_of_their_components():
    """One point of each colour, and one half-way, drawn between the other two."""
    pixels = clusters(POINTS, SHARES, MEAN, COVARIANCE, title="two")
    assert pixels.ndim == 3
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    first, second = (shown(pixels, colour(i))[:, 1].mean() for i in range(2))
    between = shown(pixels, 0.5 * (colour(0) + colour(1)))
    assert len(between) > 20
    assert first < between[:, 1].mean() < second


def test_ellipses_are_as_high_as_two_standard_deviations():
    """The second is twice as high as the first, and both as wide, with points out of the way."""
    apart = np.array([[0.0, -9.0], [10.0, 9.0]])
    pixels = clusters(apart, np.full((2, 2), 0.5), MEAN, COVARIANCE)
    sizes = [np.ptp(shown(pixels, colour(i)), axis=0) for i in range(2)]
    assert sizes[1][0] / sizes[0][0] == pytest.approx(2, rel=0.03)
    assert sizes[1][1] / sizes[0][1] == pytest.approx(1, rel=0.03)


def test_the_same_numbers_give_the_same_pixels():
    both = [clusters(POINTS, SHARES, MEAN, COVARIANCE) for _ in range(2)]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("name", ["points", "mean", "covariance"])
def test_shapes_that_do_not_fit_are_refused(name):
    given = {"points": POINTS, "mean": MEAN, "covariance": COVARIANCE, name: np.zeros((4, 4))}
    with pytest.raises(ValueError, match=f"{name}: expected shape"):
        clusters(given["points"], SHARES, given["mean"], given["covariance"])
