# SPDX-License-Identifier: Apache-2.0
"""Laws of the latent figures: points in their colours, images in their rows."""

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from jaxml.training.figure import scatter, style, traversal

RNG = np.random.default_rng(2)


def centre(path, colour):
    """The mean position (x right, y up) of the pixels nearest to a colour, in parts of the page."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(float) / 255
    y, x = np.nonzero(np.abs(pixels - matplotlib.colors.to_rgb(colour)).max(-1) < 0.35)
    assert len(x) > 20
    return x.mean() / pixels.shape[1], 1 - y.mean() / pixels.shape[0]


def test_classes_lie_where_their_points_are(tmp_path):
    """A class to the right and above is drawn there, in the colour of its number."""
    points = np.concatenate([RNG.normal(-5, 0.5, (200, 2)), RNG.normal(5, 0.5, (200, 2))])
    scatter(points, tmp_path / "a.png", labels=np.repeat([0, 1], 200), names=["low", "high"])
    low, high = (centre(tmp_path / "a.png", colour) for colour in style.COLOURS[:2])
    assert high[0] > low[0] + 0.2
    assert high[1] > low[1] + 0.2
    with Image.open(tmp_path / "a.png") as image:
        ink = np.asarray(image.convert("L")) < 60
    height, width = ink.shape
    for x, y in (low, high):  # the name is written there, and bold
        row, column = int((1 - y) * height), int(x * width)
        assert ink[row - 20 : row + 20, column - 30 : column + 30].sum() > 30


def test_many_dimensions_are_projected_to_the_two_of_most_variance(tmp_path):
    """Two clusters apart in the seventh dimension alone are apart along the first axis."""
    points = RNG.normal(0, 0.5, (400, 9))
    points[200:, 6] += 20
    scatter(points, tmp_path / "a.png", labels=np.repeat([0, 1], 200))
    one, other = (centre(tmp_path / "a.png", colour) for colour in style.COLOURS[:2])
    assert abs(one[0] - other[0]) > 0.3
    assert abs(one[1] - other[1]) < 0.1


@pytest.mark.parametrize("shape", [(5,), (5, 1), (0, 2)])
def test_points_need_two_dimensions(tmp_path, shape):
    """The error names the shape that came."""
    with pytest.raises(ValueError, match=r"points: expected shape \(n, d\) with d >= 2"):
        scatter(np.zeros(shape), tmp_path / "a.png")


def test_a_traversal_shows_rows_in_order(tmp_path):
    """The dark first row is above the bright second, and there is one value per column."""
    images = np.stack([np.full((5, 8, 8), 0.1), np.full((5, 8, 8), 0.6)])
    traversal(images, tmp_path / "a.png", values=[-2.0, -1.0, 0.0, 1.0, 2.0])
    with Image.open(tmp_path / "a.png") as image:
        grey = np.asarray(image.convert("L")).astype(int)
    dark, bright = (np.nonzero(np.abs(grey - value) <= 1)[0] for value in (26, 153))
    assert len(dark) > 5 * 48 * 48
    assert dark.max() < np.quantile(bright, 0.05)
    with pytest.raises(ValueError, match=r"expected shape \(rows, 4, H, W\)"):
        traversal(images, tmp_path / "a.png", values=[0.0] * 4)
