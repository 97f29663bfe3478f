# SPDX-License-Identifier: Apache-2.0
"""Diffusion and flow matching: `diffusion.loss(model, batch, key)`, `diffusion.sample`, ..."""

from jaxml.models.diffusion.bound import (
    ContinuousTerms,
    Terms,
    best_variances,
    continuous_terms,
    k_bound,
    terms,
    variances,
)
from jaxml.models.diffusion.learned import schedule_loss
from jaxml.models.diffusion.likelihood import log_prob, path
from jaxml.models.diffusion.model import Diffusion, denoise, denoiser, sample
from jaxml.models.diffusion.objective import bound_loss, loss

__all__ = [
    "ContinuousTerms",
    "Diffusion",
    "Terms",
    "best_variances",
    "bound_loss",
    "continuous_terms",
    "denoise",
    "denoiser",
    "k_bound",
    "log_prob",
    "loss",
    "path",
    "sample",
    "schedule_loss",
    "terms",
    "variances",
]
