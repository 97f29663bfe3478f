# SPDX-License-Identifier: Apache-2.0
"""One setting swept under several methods, as a PNG: which values learn, and which is best."""

from collections.abc import Mapping
from os import PathLike

import numpy as np

from jaxml.training.figure import style
from jaxml.training.figure.series import Series, Trace, trace


def sweep(
    groups: Mapping[str, Mapping[str, Series]],
    path: str | PathLike[str],
    *,
    ylabel: str,
    columns: int = 4,
) -> None:
    """Draw one panel a method and in it one curve a value, from pale for the first to dark.

    All panels share logarithmic axes, so that curves may be compared across them. The curve that is
    `lowest` is drawn in colour, and its value stands in the corner.

    Args:
      groups: by method, the curves by value; smaller is better. Values that are not positive and
        finite are left out.
      path: the file; replaced as a whole.
      ylabel: what the curves count.
      columns: panels a row.

    Raises:
      ValueError: if there is no method, or one of them has no curve with a positive value.
      CheckpointError: if the file cannot be written.
    """
    drawn = {name: _traces(name, curves) for name, curves in groups.items()}
    if not drawn:
        raise ValueError("groups: expected at least one method")
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = style.blank(2.6 * columns, 2.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    for axes, (name, traces) in zip(grid, drawn.items(), strict=False):
        style.plain(axes)
        axes.set_yscale("log")
        axes.set_title(name, loc="left", fontsize=style.FONT, color=style.INK, pad=4)
        best = _lowest(traces)
        for i, t in enumerate(traces.values()):
            shade = str(round(0.85 - 0.5 * i / max(len(traces) - 1, 1), 2))
            axes.plot(t.x, np.exp(t.smooth), color=shade, lw=1.0)
        axes.plot(traces[best].x, np.exp(traces[best].smooth), color=style.COLOURS[0], lw=1.8)
        axes.text(0.03, 0.06, best, transform=axes.transAxes, ha="left", va="bottom",
                  fontsize=style.SMALL, color=style.COLOURS[0])  # fmt: skip
    lows = [t.smooth[-1] for traces in drawn.values() for t in traces.values()]
    starts = [t.first for traces in drawn.values() for t in traces.values()]
    grid[0].set_ylim(0.3 * np.exp(min(lows)), 3 * np.exp(np.median(starts)))
    figure.supylabel(ylabel, fontsize=style.SMALL, color=style.FAINT)
    figure.supxlabel("step", fontsize=style.SMALL, color=style.FAINT)
    style.save(figure, path)


def lowest(curves: Mapping[str, Series]) -> str:
    """The value whose curve has the least mean logarithm over the last tenth of the steps.

    A curve that breaks off is the lowest only where all break off.

    Raises:
      ValueError: if no curve has a positive value.
    """
    return _lowest(_traces("curves", curves))


def _lowest(traces: Mapping[str, Trace]) -> str:
    last = max(t.x[-1] for t in traces.values())

    def level(t: Trace) -> tuple[bool, float]:
        return bool(t.x[-1] < last), float(t.smooth[t.x >= 0.9 * t.x[-1]].mean())

    return min(traces, key=lambda value: level(traces[value]))


def _traces(name: str, curves: Mapping[str, Series]) -> dict[str, Trace]:
    """By value the logarithms of the curve, thinned."""
    found = {}
    for value, series in curves.items():
        values = np.asarray(series.values, np.float64)
        good = np.isfinite(values) & (values > 0)
        if good.any():
            logs = np.log(np.where(good, values, 1.0))
            found[value] = trace(Series(series.steps, np.where(good, logs, np.nan)))
    if not found:
        raise ValueError(f"groups: expected a curve with a positive value in {name!r}")
    return found
