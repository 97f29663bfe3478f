# SPDX-License-Identifier: Apache-2.0
"""Laws of curves: thinning loses no extreme, smoothing bends no line, the frame shows both."""

import numpy as np
import pytest

from jaxml.training.figure.series import N_BINS, Series, frame, panels, trace

RNG = np.random.default_rng(5)


def series(values, steps=None):
    values = np.asarray(values, float)
    return Series(np.arange(1, len(values) + 1) if steps is None else np.asarray(steps), values)


@pytest.mark.parametrize("n", [1, 2, 99, 400, 401, 50_000])
def test_thinning_keeps_the_extremes_and_the_steps(n):
    """However long the curve: few bins, and its minimum and maximum are among them."""
    s = series(RNG.normal(size=n))
    t = trace(s)
    assert len(t.x) <= min(n, N_BINS)
    assert (t.low.min(), t.high.max()) == (s.values.min(), s.values.max())
    assert (t.low <= t.smooth + 10).all()
    assert (np.diff(t.x) > 0).all()
    assert (t.x[0], t.x[-1], t.first) == (1, n, s.values[0])


def test_a_short_curve_is_left_as_it_is():
    """A validation curve of thirty points is thirty measurements."""
    s = series(RNG.normal(size=30), steps=np.arange(500, 15_500, 500))
    t = trace(s)
    for drawn in (t.low, t.high, t.smooth):
        np.testing.assert_array_equal(drawn, s.values)
    np.testing.assert_array_equal(t.x, s.steps)


@pytest.mark.parametrize("n", [100, 401, 9000])
def test_smoothing_keeps_lines(n):
    """A straight line is not bent, neither between its ends nor at them."""
    steps = np.arange(1, n + 1)
    for slope in (0.0, 3.0, -1e-6):
        t = trace(series(7 + slope * steps))
        np.testing.assert_allclose(t.smooth, 7 + slope * t.x, rtol=1e-9)


def test_smoothing_does_not_lift_the_end_of_a_falling_curve():
    """An exponential fall is followed to within a thousandth of its height, both ends included."""
    steps = np.arange(1, 9001)
    t = trace(series(np.exp(-steps / 3000)))
    np.testing.assert_allclose(t.smooth, np.exp(-t.x / 3000), atol=1e-3)


def test_a_smoothed_curve_stays_between_its_extremes():
    """Beside a cliff a fitted line overshoots: a positive loss must not be drawn below zero."""
    values = np.where(np.arange(2000) < 40, 1e4, 1e-3)
    smooth = trace(series(values)).smooth
    assert (smooth.min(), smooth.max()) == (1e-3, 1e4)


def test_smoothing_averages_noise_away():
    """White noise shrinks by sqrt(m 2 sqrt(pi) s): m values a bin, a kernel s bins wide."""
    t = trace(series(7 + RNG.normal(size=40_000)))
    error = (100 * 2 * np.sqrt(np.pi) * N_BINS / 80) ** -0.5
    z = (t.smooth[50:-50] - 7) / error
    assert np.abs(z).max() < 4.5
    assert 0.5 < z.std() < 1.5


def test_steps_may_come_unsorted_and_nan_is_left_out():
    """The order of the rows does not matter, and a step without a value has no point."""
    t = trace(series([3.0, np.nan, 1.0], steps=[30, 20, 10]))
    assert t.x.tolist() == [10, 30]
    assert t.smooth.tolist() == [1, 3]
    with pytest.raises(ValueError, match="one finite value"):
        trace(series([np.nan]))


def test_panels_bring_splits_together():
    """Train and validation share a panel, losses lead, vectors have a curve each."""
    found = panels(
        {
            "step": np.arange(3),
            "kl": np.ones(3),
            "validation/loss": np.array([np.nan, np.nan, 2.0]),
            "loss": np.ones(3),
            "critic/loss": np.ones((3, 2)),
            "idle": np.full(3, np.nan),
            "skipped": np.zeros(3),
            "guard/skipped": np.array([0.0, 1.0, 1.0]),
            "bad_leaf": np.array([-1.0, -1.0, -1.0]),
        }
    )
    assert {panel: list(group) for panel, group in found.items()} == {
        "loss": ["validation", "train"],
        "critic/loss": ["train 0", "train 1"],
        "kl": ["train"],
        "guard/skipped": ["train"],
    }
    assert found["loss"]["validation"].steps.tolist() == [2]
    assert list(found)[:2] == ["loss", "critic/loss"]


def test_a_quiet_curve_is_shown_whole():
    """Where nothing dwarfs the rest, every point lies inside the frame."""
    s = series(np.linspace(3, 2, 2000) + 0.01 * RNG.normal(size=2000))
    f = frame([trace(s)])
    assert f.y[0] < s.values.min() < s.values.max() < f.y[1]
    assert (f.x, f.log, f.start) == (f.x, False, None)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_high_start_leaves_the_frame(sign):
    """A fall from 540 (or rise from −540) does not flatten what is learned between 100 and 87."""
    steps = np.arange(1, 20_001)
    values = sign * (87 + 440 * np.exp(-steps / 60) + 13 * np.exp(-steps / 3000))
    f = frame([trace(series(values))])
    assert f.start == values[0]
    assert not f.log
    low, high = sorted(abs(y) for y in f.y)
    assert 80 < low < 87
    assert 97 < high < 120


def test_decades_are_shown_on_a_logarithmic_axis():
    """A positive curve over three decades is logarithmic and whole, a signed one is not."""
    values = np.logspace(2, -1, 3000)
    f = frame([trace(series(values))])
    assert f.log
    assert f.y[0] < values.min() < values.max() < f.y[1]
    assert not frame([trace(series(values - 50))]).log


def test_a_constant_curve_has_a_frame():
    """A single value, zero too, still lies inside limits that differ."""
    for value in (0.0, -3.0, 1e-30, 1e30):
        f = frame([trace(series([value]))])
        assert f.y[0] < value < f.y[1]
        assert f.x[0] < f.x[1]


def test_all_curves_of_a_panel_share_the_frame():
    """The validation curve above the training curve widens the frame."""
    train, validation = trace(series(np.linspace(3, 2, 500))), trace(series([4.0, 3.5], [250, 500]))
    f = frame([train, validation])
    assert f.y[0] < 2
    assert f.y[1] > 4
