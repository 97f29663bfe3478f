# SPDX-License-Identifier: Apache-2.0
"""Markov chain Monte Carlo: kernels of one chain, walks, step sizes, diagnostics, annealing."""

from jaxml.probability.mcmc import adaptation, annealing, gibbs
from jaxml.probability.mcmc.adaptation import adapt
from jaxml.probability.mcmc.annealing import anneal, anneal_back, lower_bound, upper_bound
from jaxml.probability.mcmc.chain import Chain, LogProb, Move, start, walk
from jaxml.probability.mcmc.convergence import autocovariance, effective_sample_size, split_r_hat
from jaxml.probability.mcmc.hamiltonian import hamiltonian, kinetic, leapfrog
from jaxml.probability.mcmc.langevin import adjusted_langevin, langevin, unadjusted_covariance
from jaxml.probability.mcmc.metropolis import (
    Proposal,
    accept,
    log_acceptance,
    metropolis_hastings,
    random_walk,
)

__all__ = [
    "Chain",
    "LogProb",
    "Move",
    "Proposal",
    "accept",
    "adapt",
    "adaptation",
    "adjusted_langevin",
    "anneal",
    "anneal_back",
    "annealing",
    "autocovariance",
    "effective_sample_size",
    "gibbs",
    "hamiltonian",
    "kinetic",
    "langevin",
    "leapfrog",
    "log_acceptance",
    "lower_bound",
    "metropolis_hastings",
    "random_walk",
    "split_r_hat",
    "start",
    "unadjusted_covariance",
    "upper_bound",
    "walk",
]
