# SPDX-License-Identifier: Apache-2.0
"""Curves before they are drawn: which belong together, how they are thinned, what part is shown."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

SPLITS = {"train": 0, "validation": 1, "valid": 1, "test": 2}
"""The splits of the data and their places in the palette, the same in every panel."""

BOOKKEEPING = {"stopped", "bad_leaf", "skipped"}
N_BINS = 400


class Series(NamedTuple):
    """Values at steps, or along another axis that has a name; NaN where there is none."""

    steps: np.ndarray
    values: np.ndarray
    axis: str = "step"


class Trace(NamedTuple):
    """A series in at most `N_BINS` bins of steps, empty bins left out.

    Attributes:
      x: the mean step of each bin; at the ends the first and the last step.
      low, high: the extremes in each bin: the raw curve, whatever its length.
      smooth: the means of the bins, smoothed where there are at least a hundred: many points are
        noise around a line, few (a validation curve) are measurements to be seen as they are.
      first: the first raw value.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    smooth: np.ndarray
    first: float


class Frame(NamedTuple):
    """The part of the plane that is shown.

    Attributes:
      x, y: limits.
      log: whether the y axis is logarithmic.
      start: the first value of the curve whose beginning is left out of the frame, if one is.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool
    start: float | None


Panels = dict[str, dict[str, Series]]


def panels(columns: Mapping[str, np.ndarray]) -> Panels:
    """The columns of a log (`jaxml.training.log.read`) as panels of curves.

    `loss`, `train/loss` and `validation/loss` share the panel `loss`; the entries of a vector
    share a panel. Losses come first. What a guard counts is left out unless it counted something.
    """
    found: Panels = {}
    for name in sorted(columns, key=lambda name: name.split("/")[-1] != "loss"):
        values = np.asarray(columns[name], np.float64)
        idle = name.split("/")[-1] in BOOKKEEPING and not (values > 0).any()
        if name == "step" or idle or not np.isfinite(values).any():
            continue
        split, _, rest = name.partition("/")
        panel, label = (rest, split) if rest and split in SPLITS else (name, "train")
        values = values.reshape(len(values), -1)
        for i, column in enumerate(values.T[:10]):
            member = label if values.shape[1] == 1 else f"{label} {i}"
            there = np.isfinite(column)
            series = Series(np.asarray(columns["step"])[there], column[there])
            found.setdefault(panel, {})[member] = series
    return found


def colours(labels: Iterable[str]) -> list[int]:
    """The place of each curve in the palette: its split's, or else its own."""
    return [SPLITS.get(label, i) for i, label in enumerate(labels)]


def trace(series: Series) -> Trace:
    """The series thinned and smoothed; every extreme of the raw values survives in low and high.

    Raises:
      ValueError: if no value is finite.
    """
    there = np.isfinite(series.values)
    steps, values = np.asarray(series.steps, np.float64)[there], series.values[there]
    if not len(steps):
        raise ValueError("series: expected at least one finite value")
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    span = max(steps[-1] - steps[0], 1e-9)
    bins = np.minimum(N_BINS * (steps - steps[0]) / span, N_BINS - 1).astype(int)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    counts = np.diff(starts, append=len(steps))
    centres, means = (np.add.reduceat(v, starts) / counts for v in (steps, values))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    x = centres.copy()
    x[0], x[-1] = steps[0], steps[-1]
    smooth = _smooth(x, centres, means, counts) if len(x) >= N_BINS // 4 else means
    smooth = np.clip(smooth, values.min(), values.max())  # a line may overshoot at a cliff
    return Trace(x, low, high, smooth, float(values[0]))


def _smooth(
    x: np.ndarray, centres: np.ndarray, means: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """At every x the straight line that fits best, by squares weighted with a Gaussian around it.

    A line stays a line, up to its last point: the end of a falling curve is not lifted, as an
    average over one side would lift it. The Gaussian is narrow at the beginning, which is steep.
    """
    index = np.arange(len(x))
    width = np.minimum(N_BINS / 80, 0.5 + index / 8)[:, None]
    weights = np.exp(-0.5 * ((index - index[:, None]) / width) ** 2) * counts
    d = (centres - x[:, None]) / (x[-1] - x[0])
    s0, s1, s2 = weights.sum(1), (weights * d).sum(1), (weights * d**2).sum(1)
    t0, t1 = weights @ means, (weights * d) @ means
    determinant = s0 * s2 - s1**2
    lone = determinant <= 1e-9 * s0 * s2  # no neighbour within the Gaussian: no slope to be had
    return np.where(lone, t0 / s0, (s2 * t0 - s1 * t1) / np.where(lone, 1.0, determinant))


def frame(traces: list[Trace]) -> Frame:
    """The part of the plane in which the curves can be read.

    A run falls in its first steps and learns in all the others. Where the fall is more than three
    times as high as what follows, it leaves the frame, so that the rest can be seen; of a few
    points all are shown. Positive values over more than a factor of thirty are shown on a
    logarithmic axis.
    """
    x = np.concatenate([t.x for t in traces])
    first, last = float(x.min()), float(x.max())
    late = x >= first + 0.05 * (last - first)
    low, high, smooth = (np.concatenate([t[i] for t in traces]) for i in (1, 2, 3))
    log = bool(low.min() > 0 and smooth[late].max() > 30 * smooth[late].min())
    if log:
        low, high, smooth = np.log10(low), np.log10(high), np.log10(smooth)
    bottom = min(smooth[late].min(), np.quantile(low[late], 0.02))
    top = max(smooth[late].max(), np.quantile(high[late], 0.98))
    size = max(top - bottom, 1e-6 * max(abs(top), abs(bottom)), 1e-12)
    below = above = 0.08 * size
    start = None
    if smooth.max() - smooth.min() <= 3 * size or len(smooth) < N_BINS // 10:
        bottom, top = min(bottom, smooth.min()), max(top, smooth.max())
    elif smooth.max() - top > bottom - smooth.min():
        above, start = 0.4 * size, max(t.first for t in traces)
    else:
        below, start = 0.4 * size, min(t.first for t in traces)
    y = (float(bottom - below), float(top + above))
    return Frame((first, max(last, first + 1)), (10 ** y[0], 10 ** y[1]) if log else y, log, start)
