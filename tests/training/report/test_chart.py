# SPDX-License-Identifier: Apache-2.0
"""Laws of the charts: round numbers on the axes, points in their places, and all of it in words."""

import re

import numpy as np
import pytest

from jaxml.training.figure import Series
from jaxml.training.report import chart

STEPS = np.arange(1, 101)


def points(markup, kind):
    """The coordinates of every polyline or polygon."""
    found = re.findall(rf'<{kind} points="([^"]*)" class="[a-z]+ c(\d)"', markup)
    return {
        int(c): np.array([[float(v) for v in pair.split(",")] for pair in text.split()])
        for text, c in found
    }


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3.2, 7.9), (86.1, 91.4), (1e-9, 3e-9), (-1e7, 2e7), (0, 200)]
)
def test_ticks_are_few_round_and_inside(low, high):
    """At most six ticks and at least two, evenly spaced by 1, 2 or 5 times a power of ten."""
    t = np.array(chart.ticks(float(low), float(high), most=5))
    assert 2 <= len(t) <= 6
    size = high - low
    assert (low - 1e-6 * size <= t).all()
    assert (t <= high + 1e-6 * size).all()
    step = t[1] - t[0]
    np.testing.assert_allclose(np.diff(t), step, rtol=1e-6)
    assert round(float(step / 10 ** np.floor(np.log10(step * 1.0001))), 4) in (1, 2, 5)
    np.testing.assert_allclose(t / step, np.round(t / step), atol=1e-6)


def test_logarithmic_ticks_are_powers_of_ten():
    """Decades inside the limits, every second or third where there are many."""
    assert chart.ticks(0.05, 200.0, log=True) == [0.1, 1.0, 10.0, 100.0]
    many = np.log10(chart.ticks(1e-20, 1e10, log=True))
    assert len(many) <= 7
    np.testing.assert_allclose(np.diff(many), np.diff(many)[0])


@pytest.mark.parametrize(
    ("value", "text"), [(-86.912, "−86.91"), (20_000.0, "20000"), (1e9, "1e+09"), (0.0, "0")]
)
def test_numbers_have_four_digits_and_a_minus_sign(value, text):
    """Large steps are written out, a minus is no hyphen."""
    assert chart.number(value) == text


def test_points_lie_where_their_values_are():
    """The drawn line is an affine map of the series: left to right, high values on top."""
    values = np.sin(STEPS[::10] / 10)
    markup = chart.curves("loss", {"train": Series(STEPS[::10], values)})
    drawn = points(markup, "polyline")[0]
    assert len(drawn) == 10
    x = np.polyfit(STEPS[::10], drawn[:, 0], 1)
    y = np.polyfit(values, drawn[:, 1], 1)
    np.testing.assert_allclose(np.polyval(x, STEPS[::10]), drawn[:, 0], atol=0.11)
    np.testing.assert_allclose(np.polyval(y, values), drawn[:, 1], atol=0.11)
    assert x[0] > 0 > y[0]
    assert markup.count("<circle") == 10


def test_a_chart_spans_the_steps_it_shows():
    """A run resumed at step 5000 begins at the left edge and ends at the right."""
    markup = chart.curves("loss", {"train": Series(5000 + STEPS, np.sin(STEPS / 10))})
    x = points(markup, "polyline")[0][:, 0]
    assert (x[0], x[-1]) == (chart.LEFT, chart.WIDTH - chart.RIGHT)


def test_axis_labels_lie_at_their_values():
    """The rule labelled v is at the height at which the curve takes the value v."""
    values = np.linspace(0, 10, 100)
    markup = chart.curves("loss", {"train": Series(STEPS, values)})
    drawn = points(markup, "polygon")[0][:100, 1]
    labels = re.findall(r'y="([\d.]+)" text-anchor="end">([\d.]+)</text>', markup)
    heights = {float(text): float(y) - 4 for y, text in labels if float(text) <= 10}
    assert {0.0, 10.0} < set(heights)
    for value, y in heights.items():
        assert np.interp(value, values, drawn) == pytest.approx(y, abs=0.3)


def test_a_chart_has_words():
    """Title, the last values and the course of each curve are text; validation has its colour."""
    group = {"validation": Series(STEPS, np.linspace(-5, -3, 100))}
    markup = chart.curves("elbo", group)
    assert 'aria-label="elbo: validation from −5 at step 1 to −3 at step 100"' in markup
    assert "<h3>elbo</h3>" in markup
    assert "validation <b>−3</b>" in markup
    assert list(points(markup, "polyline")) == [1]


def test_hidden_beginnings_are_told():
    """A start outside the frame stands beside the legend, and its line leaves through the top."""
    steps = np.arange(1, 5001)
    values = 87 + 450 * np.exp(-steps / 20) + 5 * np.exp(-steps / 1000)
    markup = chart.curves("loss", {"train": Series(steps, values)})
    assert f"starts at {values[0]:.4g}" in markup
    y = points(markup, "polyline")[0][:, 1]
    assert y[0] < 0 < chart.TOP < y[-1] < chart.HEIGHT - chart.BOTTOM


def test_a_chart_of_nothing_is_none():
    """Without a finite value there is no chart."""
    nothing = {"train": Series(STEPS, np.full(100, np.nan)), "b": Series(STEPS[:0], np.zeros(0))}
    assert chart.curves("loss", nothing) is None


def test_the_size_of_a_chart_does_not_follow_the_run():
    """A hundred thousand steps make no larger page than two thousand."""
    sizes = [
        len(chart.curves("x", {"train": Series(np.arange(n), np.cos(np.arange(n) / 7))}))
        for n in (2000, 100_000)
    ]
    assert max(sizes) < 1.2 * min(sizes) < 40_000


def test_bars_are_as_high_as_their_values():
    """Heights are proportional, a negative value hangs below the rule, NaN is no bar."""
    markup = chart.bars("rate", [4.0, 2.0, -1.0, np.nan])
    rects = re.findall(
        r'<rect class="bar" x="([\d.]+)" width="[\d.]+" y="([\d.]+)" height="([\d.]+)"', markup
    )
    x, y, height = np.array(rects, float).T
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(height[:3] / height[0], [1, 0.5, 0.25], atol=0.01)
    assert y[2] == pytest.approx(y[0] + height[0], abs=0.2)
    assert height[3] <= 0.5


def test_another_axis_than_the_step_is_named():
    """What is read aloud says minutes where the axis shows minutes."""
    group = {"validation": Series(np.array([1.0, 2.0]), np.array([3.0, 2.5]), "minutes")}
    markup = str(chart.curves("bits", group))
    assert "validation from 3 at minutes 1 to 2.5 at minutes 2" in markup
