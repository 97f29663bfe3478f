# SPDX-License-Identifier: Apache-2.0
"""Points of the plane and the Gaussians that are to explain them."""

from collections.abc import Sequence

import numpy as np

from jaxml.training.figure import style


def clusters(
    points: np.ndarray,
    shares: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
    *,
    names: Sequence[str] = ("x₁", "x₂"),
    title: str = "",
) -> np.ndarray:
    """The pixels of a figure: every point in the mixed colours of its components, their ellipses.

    Ellipses lie one and two standard deviations from each mean; inside of the outer one is
    1 − e^−2 = 86 % of a component.

    Args:
      points: `(n, 2)`.
      shares: `(n, k)`, rows that sum to 1: how far a point belongs to each component.
      mean: `(k, 2)`.
      covariance: `(k, 2, 2)`.
      names: of the axes.
      title: above the figure.

    Returns:
      `(H, W, 3)`, intensities in [0, 1].

    Raises:
      ValueError: if shapes do not fit.
    """
    n, k = np.shape(shares)
    for name, array, shape in (
        ("points", points, (n, 2)),
        ("mean", mean, (k, 2)),
        ("covariance", covariance, (k, 2, 2)),
    ):
        if np.shape(array) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {np.shape(array)}")
    figure = style.blank(5.0, 4.2)
    axes = figure.subplots()
    style.plain(axes)
    axes.grid(False)
    palette = np.array([_colour(style.COLOURS[i % len(style.COLOURS)]) for i in range(k)])
    axes.scatter(*np.asarray(points).T, s=14, c=np.clip(shares @ palette, 0, 1), linewidths=0)
    turn = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    for m, cov, colour in zip(mean, covariance, palette, strict=True):
        values, vectors = np.linalg.eigh(cov)
        ellipse = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)
        for radius in (1, 2):
            axes.plot(*(m[:, None] + radius * ellipse), color=colour, linewidth=1.6 / radius)
        axes.plot(*m, marker="+", color=style.INK, markersize=9)
    axes.set_xlabel(names[0], fontsize=style.SMALL, color=style.FAINT)
    axes.set_ylabel(names[1], fontsize=style.SMALL, color=style.FAINT)
    axes.set_title(title, loc="left", fontsize=style.TITLE, color=style.INK, pad=8)
    return style.pixels(figure)


def _colour(code: str) -> list[float]:
    return [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
