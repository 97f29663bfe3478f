# SPDX-License-Identifier: Apache-2.0
"""Figures as PNG files: sheets of images, training curves, latent space."""

from jaxml.training.figure.cluster import clusters
from jaxml.training.figure.curve import curves
from jaxml.training.figure.grid import png, sheet, tile
from jaxml.training.figure.latent import scatter, traversal
from jaxml.training.figure.series import Panels, Series, panels
from jaxml.training.figure.sweep import lowest, sweep

__all__ = [
    "Panels",
    "Series",
    "clusters",
    "curves",
    "lowest",
    "panels",
    "png",
    "scatter",
    "sheet",
    "sweep",
    "tile",
    "traversal",
]
