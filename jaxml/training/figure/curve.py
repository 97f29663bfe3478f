# SPDX-License-Identifier: Apache-2.0
"""Training curves as a PNG: the raw values faint, their average on top."""

from collections.abc import Mapping
from os import PathLike

import numpy as np

from jaxml.training.figure import style
from jaxml.training.figure.series import Series, colours, frame, trace


def curves(
    panels: Mapping[str, Mapping[str, Series]], path: str | PathLike[str], *, columns: int = 2
) -> None:
    """Draw one panel per quantity, with a curve for each split (`series.panels` makes them).

    The faint band holds all raw values, the line is a local fit to them, and where a curve has
    few points the points are shown. Axes are chosen by `series.frame`.

    Args:
      panels: by title, the curves by label; those without a finite value are left out.
      path: the file; replaced as a whole.
      columns: panels a row.

    Raises:
      ValueError: if there is no curve.
      CheckpointError: if the file cannot be written.
    """
    drawn = {
        title: {label: trace(Series(*s)) for label, s in group.items() if np.isfinite(s[1]).any()}
        for title, group in panels.items()
    }
    drawn = {title: traces for title, traces in drawn.items() if traces}
    if not drawn:
        raise ValueError("curves: expected at least one panel with a curve")
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = style.blank(4.4 * columns, 2.7 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    for axes, (title, traces) in zip(grid, drawn.items(), strict=False):
        style.plain(axes)
        axes.set_title(title, loc="left", fontsize=style.TITLE, color=style.INK, pad=8)
        window = frame(list(traces.values()))
        axes.set_xlim(*window.x)
        axes.set_ylim(*window.y)
        if window.log:
            axes.set_yscale("log")
        for i, (label, t) in zip(colours(traces), traces.items(), strict=True):
            colour = style.COLOURS[i % len(style.COLOURS)]
            axes.fill_between(t.x, t.low, t.high, color=colour, alpha=0.18, linewidth=0.6)
            marker = "o" if len(t.x) < 40 else ""
            axes.plot(t.x, t.smooth, color=colour, lw=1.6, marker=marker, ms=3, label=label)
        if window.start is not None:
            start = f"starts at {window.start:.4g}"
            axes.set_title(start, loc="right", fontsize=style.SMALL, color=style.FAINT, pad=8)
        if len(traces) > 1:
            axes.legend(frameon=False, fontsize=style.SMALL, labelcolor=style.INK)
        axis = next(Series(*s).axis for s in panels[title].values())
        axes.set_xlabel(axis, fontsize=style.SMALL, color=style.FAINT)
        axes.xaxis.set_major_locator(_locator())
    style.save(figure, path)


def _locator():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)
