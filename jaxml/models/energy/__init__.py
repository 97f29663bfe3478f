# SPDX-License-Identifier: Apache-2.0
"""Energy-based models: `energy.energy`, `.score`, losses without log Z, `.rule` with its chains.

`energy.partition` bounds log Z from both sides. `energy.rbm` are restricted Boltzmann machines,
`energy.rbm_partition` their log Z, `energy.joint` a classifier as an energy.
"""

from jaxml.models.energy import joint, partition, rbm, rbm_partition
from jaxml.models.energy.evidence import log_likelihood_evidence, log_partition_evidence
from jaxml.models.energy.model import EnergyModel, energy, log_density, score
from jaxml.models.energy.objective import (
    Noise,
    contrastive_loss,
    denoising_loss,
    implicit_loss,
    noise_contrastive_loss,
    sliced_loss,
)
from jaxml.models.energy.replay import rule
from jaxml.models.energy.walk import hamiltonian, langevin

__all__ = [
    "EnergyModel",
    "Noise",
    "contrastive_loss",
    "denoising_loss",
    "energy",
    "hamiltonian",
    "implicit_loss",
    "joint",
    "langevin",
    "log_density",
    "log_likelihood_evidence",
    "log_partition_evidence",
    "noise_contrastive_loss",
    "partition",
    "rbm",
    "rbm_partition",
    "rule",
    "score",
    "sliced_loss",
]
