# SPDX-License-Identifier: Apache-2.0
"""Distributions, divergences and Monte Carlo, as functions of arrays."""

from jaxml.probability import bernoulli, discretized_logistic, monte_carlo, normal

__all__ = ["bernoulli", "discretized_logistic", "monte_carlo", "normal"]
