# SPDX-License-Identifier: Apache-2.0
"""Laws of the figures' style: colours apart, files whole, nothing left open."""

import itertools

import matplotlib.colors
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from PIL import Image

from jaxml.training.figure import style
from jaxml.training.storage.directory import CheckpointError


def lab(colour):
    """CIELAB under D65, in which distances are about as large as they look."""
    c = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(matrix) @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_colours_are_apart():
    """Ten colours, no two nearer than 20 in CIELAB, where 2 is just noticeable."""
    assert np.linalg.norm(lab("#ffffff") - [100, 0, 0]) < 0.1
    distances = [
        np.linalg.norm(lab(one) - lab(other))
        for one, other in itertools.combinations(style.COLOURS, 2)
    ]
    assert len(distances) == 45
    assert min(distances) >= 20


def test_a_figure_has_the_size_it_was_asked_for(tmp_path):
    """Inches times dots per inch are pixels, on white, and pyplot knows of no figure."""
    style.save(style.blank(2.0, 1.5), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (2 * style.DPI, 1.5 * style.DPI)
        assert image.convert("L").getextrema() == (255, 255)
        assert image.info.get("Software") is None
    assert _pylab_helpers.Gcf.figs == {}


def test_a_figure_that_cannot_be_written_names_the_file(tmp_path):
    """A missing directory is a storage error with the path in it."""
    with pytest.raises(CheckpointError, match=r"gone/a\.png: cannot be written"):
        style.save(style.blank(1.0, 1.0), tmp_path / "gone" / "a.png")
