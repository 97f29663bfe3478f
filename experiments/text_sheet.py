# SPDX-License-Identifier: Apache-2.0
"""Texts as a picture, for the sheets of models that write."""

from collections.abc import Sequence

import numpy as np

from experiments.experiment import Sheet

COLUMNS = 64  # characters a line


def text_of(tokens: np.ndarray) -> str:
    """The characters of byte values."""
    return bytes(np.asarray(tokens, np.uint8).tolist()).decode("latin-1")


def sheet(texts: Sequence[str], caption: str) -> Sheet:
    """Texts one above the other, a line of its own for every line feed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = []
    for text in texts:
        for line in text.split("\n"):
            lines += [line[i : i + COLUMNS] for i in range(0, max(len(line), 1), COLUMNS)]
        lines.append("─" * COLUMNS)
    figure = Figure(figsize=(0.088 * COLUMNS + 0.3, 0.17 * len(lines) + 0.2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    shown = "\n".join(lines).replace("$", r"\$")
    figure.text(0.02, 0.99, shown, family="monospace", fontsize=10, va="top")
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba(), np.float32)[..., :3] / 255
    return Sheet(pixels.mean(-1)[None], 1, caption)
