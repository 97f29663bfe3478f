# SPDX-License-Identifier: Apache-2.0
"""Laws of the drawn curves: what is given is on the picture, and nothing is left behind."""

import matplotlib.colors
import numpy as np
import pytest
from matplotlib import _pylab_helpers, pyplot
from PIL import Image

from jaxml.training.figure import Series, curves, style

STEPS = np.arange(1, 1001)
PANELS = {
    "loss": {
        "train": Series(STEPS, 3 + np.exp(-STEPS / 200)),
        "validation": Series(STEPS[99::100], 3.2 + np.exp(-STEPS[99::100] / 200)),
    },
    "kl": {"train": Series(STEPS, np.log(STEPS))},
}


def has_colour(path, colour):
    """Whether at least fifty pixels have the very colour."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    want = np.round(255 * np.array(matplotlib.colors.to_rgb(colour))).astype(int)
    return (np.abs(pixels - want).max(-1) <= 1).sum() >= 50


def test_every_split_has_its_colour(tmp_path):
    """Both curves of a panel are drawn, and each has its colour where it is alone."""
    curves(PANELS, tmp_path / "both.png")
    curves({"kl": PANELS["kl"]}, tmp_path / "train.png")
    curves({"loss": {"validation": PANELS["loss"]["validation"]}}, tmp_path / "validation.png")
    seen = [
        [has_colour(tmp_path / name, colour) for colour in style.COLOURS[:3]]
        for name in ("both.png", "train.png", "validation.png")
    ]
    assert seen == [[True, True, False], [True, False, False], [False, True, False]]


def test_the_size_follows_the_panels(tmp_path):
    """Panels lie in columns: three in two columns are two rows, twice as high to the pixel."""
    three = PANELS | {"extra": PANELS["kl"]}
    curves(three, tmp_path / "a.png", columns=2)
    curves(PANELS, tmp_path / "b.png", columns=2)
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert a.width == b.width
        assert abs(a.height - 2 * b.height) <= 1


def test_the_same_curves_are_the_same_bytes(tmp_path):
    """No time and no version is in the file, and no figure stays open in pyplot."""
    for name in ("a.png", "b.png"):
        curves(PANELS, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert _pylab_helpers.Gcf.figs == {}
    assert pyplot.get_fignums() == []


def test_empty_curves_are_left_out(tmp_path):
    """Panels without a finite value do not appear; nothing at all is an error."""
    empty = {"train": Series(STEPS, np.full(1000, np.nan)), "b": Series(STEPS[:0], np.zeros(0))}
    curves({"kl": PANELS["kl"], "x": empty}, tmp_path / "a.png")
    curves({"kl": PANELS["kl"]}, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(ValueError, match="at least one panel"):
        curves({"x": empty}, tmp_path / "c.png")
