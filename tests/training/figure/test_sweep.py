# SPDX-License-Identifier: Apache-2.0
"""Laws of the figure of a sweep: a panel a method, the best value in colour and by name."""

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from jaxml.training.figure import Series, lowest, style, sweep

STEPS = np.arange(1, 201)


def falling(rate):
    """A loss that falls from 2 like a power of the step."""
    return Series(STEPS, 2.0 * STEPS**-rate)


def coloured(path):
    """Where (row, column) the colour of the best curve was used, in parts of the page."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(float) / 255
    found = np.argwhere(np.abs(pixels - matplotlib.colors.to_rgb(style.COLOURS[0])).max(-1) < 0.1)
    return found / pixels.shape[:2]


def test_the_best_curve_is_drawn_where_it_lies(tmp_path):
    """Of two panels with one axis the method that ends lower has its colour lower on the page."""
    groups = {
        "slow": {"a": falling(0.05), "b": falling(0.1)},
        "fast": {"a": falling(1.0), "b": falling(0.05)},
    }
    sweep(groups, tmp_path / "a.png", ylabel="loss")
    at = coloured(tmp_path / "a.png")
    at = at[at[:, 1] % 0.5 > 0.35]  # the right of each panel, where no name is written
    slow, fast = at[at[:, 1] < 0.5], at[at[:, 1] >= 0.5]
    assert min(len(slow), len(fast)) > 100
    assert np.median(fast[:, 0]) > np.median(slow[:, 0]) + 0.2


def test_a_curve_that_breaks_off_is_never_the_best(tmp_path):
    """NaN and what follows it are left out; a curve of nothing else is no curve."""
    broken = Series(STEPS, np.where(STEPS < 20, 1e-3, np.nan))
    sweep({"one": {"a": broken, "b": falling(1.0)}}, tmp_path / "a.png", ylabel="loss")
    at = coloured(tmp_path / "a.png")
    assert at[:, 1].max() > 0.8  # up to the right end
    with pytest.raises(ValueError, match="positive value in 'one'"):
        sweep({"one": {"a": Series(STEPS, STEPS * np.nan)}}, tmp_path / "c.png", ylabel="loss")


def test_the_lowest_curve_is_so_at_the_end_and_complete():
    """Over the last tenth, whatever came before; one that breaks off loses to any that does not."""
    early = Series(STEPS, np.where(STEPS < 150, 1e-4, 1.0))
    late = Series(STEPS, np.where(STEPS < 150, 10.0, 0.5))
    broken = Series(STEPS, np.where(STEPS < 195, 1e-6, np.nan))
    assert lowest({"early": early, "late": late, "broken": broken}) == "late"
    assert lowest({"late": late, "early": early}) == "late"
    assert lowest({"broken": broken}) == "broken"


def test_no_method_is_refused(tmp_path):
    """There is nothing to draw."""
    with pytest.raises(ValueError, match="at least one method"):
        sweep({}, tmp_path / "a.png", ylabel="loss")
    assert not list(tmp_path.iterdir())
