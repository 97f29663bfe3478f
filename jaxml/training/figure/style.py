# SPDX-License-Identifier: Apache-2.0
"""How every figure looks: one font, few colours, no frame around what is to be seen."""

import io
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from jaxml.training.storage import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    "#4269d0",
    "#ff725c",
    "#3ca951",
    "#efb118",
    "#a463f2",
    "#6cc5b0",
    "#9c6b4e",
    "#ff8ab7",
    "#97bbf5",
    "#9498a0",
)
"""Ten colours that stay apart for most eyes; the first two are training and validation."""

INK, FAINT, RULE = "#1f2430", "#6b7280", "#e5e7eb"
FONT, SMALL, TITLE = 9.0, 8.0, 10.5
DPI = 144


def blank(width: float, height: float) -> "Figure":
    """An empty figure in inches, on its own canvas: pyplot's global list of figures stays empty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: "Axes") -> None:
    """Horizontal rules instead of a box, small grey numbers."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.grid(True, axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=SMALL, labelcolor=FAINT)


def pixels(figure: "Figure") -> np.ndarray:
    """What a figure looks like: `(H, W, 3)`, intensities in [0, 1]."""
    figure.canvas.draw()
    seen = np.asarray(figure.canvas.buffer_rgba())  # pyright: ignore[reportAttributeAccessIssue]
    return seen[..., :3] / 255


def save(figure: "Figure", path: str | PathLike[str]) -> None:
    """Write a PNG, whole or not at all; the same figure gives the same bytes.

    Raises:
      CheckpointError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic.write_bytes(path, buffer.getvalue())
