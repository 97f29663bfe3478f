# SPDX-License-Identifier: Apache-2.0
"""Images in the order of reading: `pixel.loss(model, batch, key)`, `pixel.log_prob`, `sample`."""

from jaxml.models.autoregressive.pixel.law import Law, each, logistic_mixture
from jaxml.models.autoregressive.pixel.model import (
    PixelModel,
    PixelNetwork,
    log_prob,
    log_prob_by_pixel,
    loss,
)
from jaxml.models.autoregressive.pixel.sampling import sample, sample_and_log_prob

__all__ = [
    "Law",
    "PixelModel",
    "PixelNetwork",
    "each",
    "log_prob",
    "log_prob_by_pixel",
    "logistic_mixture",
    "loss",
    "sample",
    "sample_and_log_prob",
]
