# SPDX-License-Identifier: Apache-2.0
"""Latent space as a PNG: where the examples lie, and what lies along each of its axes."""

from collections.abc import Sequence
from os import PathLike

import numpy as np

from jaxml.training.figure import grid, style


def scatter(
    points: np.ndarray,
    path: str | PathLike[str],
    *,
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
    title: str = "latent space",
) -> None:
    """Draw points in the plane, coloured by class, the class written at its median.

    Args:
      points: `(n, d)`, d ≥ 2; of more than two dimensions the first two principal components.
      path: the file; replaced as a whole.
      labels: `(n,)` classes as integers from 0.
      names: of the classes; their numbers if empty.
      title: above the figure.

    Raises:
      ValueError: if there is no point, or its shape is another.
      CheckpointError: if the file cannot be written.
    """
    z = np.asarray(points, np.float64)
    if z.ndim != 2 or z.shape[1] < 2 or not len(z):
        raise ValueError(f"points: expected shape (n, d) with d >= 2, got {z.shape}")
    axis_names = ("z₁", "z₂")
    if z.shape[1] > 2:
        centred = z - z.mean(0)
        z = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        axis_names = ("first principal component", "second")
    classes = np.zeros(len(z), int) if labels is None else np.asarray(labels)
    figure = style.blank(5.0, 5.0)
    axes = figure.subplots()
    style.plain(axes)
    axes.grid(False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title, loc="left", fontsize=style.TITLE, color=style.INK, pad=8)
    colours = [style.COLOURS[c % len(style.COLOURS)] for c in classes]
    size = float(np.clip(16_000 / len(z), 4, 24))
    axes.scatter(z[:, 0], z[:, 1], s=size, c=colours, alpha=0.75, linewidths=0)
    if labels is not None:
        for c in np.unique(classes):
            x, y = np.median(z[classes == c], axis=0)
            name = str(names[int(c)] if names else c)
            box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.8}
            axes.text(x, y, name, ha="center", va="center", fontsize=style.FONT,
                      color=style.INK, weight="bold", bbox=box)  # fmt: skip
    axes.set_xlabel(axis_names[0], fontsize=style.SMALL, color=style.FAINT)
    axes.set_ylabel(axis_names[1], fontsize=style.SMALL, color=style.FAINT)
    style.save(figure, path)


def traversal(
    images: np.ndarray,
    path: str | PathLike[str],
    *,
    values: Sequence[float],
    names: Sequence[str] = (),
    title: str = "latent traversal",
) -> None:
    """Draw a row of images per latent dimension, its value growing from left to right.

    Args:
      images: `(rows, columns, H, W)` or `(rows, columns, H, W, C)`, intensities in [0, 1].
      path: the file; replaced as a whole.
      values: of the latent dimension, one per column.
      names: of the rows; z₁, z₂, ... if empty.
      title: above the figure.

    Raises:
      ValueError: if the shape is another, or there are not as many values as columns.
      CheckpointError: if the file cannot be written.
    """
    if images.ndim not in (4, 5) or images.shape[1] != len(values):
        expected = f"(rows, {len(values)}, H, W) or (rows, {len(values)}, H, W, C)"
        raise ValueError(f"images: expected shape {expected}, got {images.shape}")
    rows, columns = images.shape[:2]
    page = grid.tile(images.reshape(-1, *images.shape[2:]), columns=columns)
    height, width = page.shape[:2]
    figure = style.blank(0.7 + width / style.DPI * 1.5, 0.7 + height / style.DPI * 1.5)
    axes = figure.subplots()
    axes.imshow(page, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=style.SMALL, labelcolor=style.FAINT)
    axes.set_xticks((np.arange(columns) + 0.5) * width / columns, [f"{v:g}" for v in values])
    subscripts = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    names = names or [f"z{i + 1}".translate(subscripts) for i in range(rows)]
    axes.set_yticks((np.arange(rows) + 0.5) * height / rows, names)
    axes.set_title(title, loc="left", fontsize=style.TITLE, color=style.INK, pad=8)
    style.save(figure, path)
