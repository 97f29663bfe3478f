# SPDX-License-Identifier: Apache-2.0
"""Distributions, divergences and Monte Carlo, as functions of arrays."""

from jaxml.probability import (
    bernoulli,
    discretized_logistic,
    discretized_logistic_mixture,
    discretized_normal,
    factorial,
    gaussian_mixture,
    hmm,
    importance,
    jump_process,
    kalman,
    laplace,
    markov_chain,
    mcmc,
    monte_carlo,
    negative_binomial,
    normal,
    poisson,
    truncation,
)

__all__ = [
    "bernoulli",
    "discretized_logistic",
    "discretized_logistic_mixture",
    "discretized_normal",
    "factorial",
    "gaussian_mixture",
    "hmm",
    "importance",
    "jump_process",
    "kalman",
    "laplace",
    "markov_chain",
    "mcmc",
    "monte_carlo",
    "negative_binomial",
    "normal",
    "poisson",
    "truncation",
]
