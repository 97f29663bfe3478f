# SPDX-License-Identifier: Apache-2.0
"""Mixtures of Gaussians: densities, starts, and expectation maximization, a step at a time."""

from jaxml.probability.gaussian_mixture.covariance import DIAGONAL, FULL, SPHERICAL, TIED, Kind
from jaxml.probability.gaussian_mixture.mixture import (
    Mixture,
    em_step,
    log_joint,
    log_prob,
    maximized,
    placed,
    responsibilities,
    sample,
)
from jaxml.probability.gaussian_mixture.start import nearest, plus_plus, start

__all__ = [
    "DIAGONAL",
    "FULL",
    "SPHERICAL",
    "TIED",
    "Kind",
    "Mixture",
    "em_step",
    "log_joint",
    "log_prob",
    "maximized",
    "nearest",
    "placed",
    "plus_plus",
    "responsibilities",
    "sample",
    "start",
]
