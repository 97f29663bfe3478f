# SPDX-License-Identifier: Apache-2.0
"""Language models: `language.loss(model, batch, key)`, `language.log_prob`, `language.sample`."""

from jaxml.models.autoregressive.language.beam import Beams, beam_search
from jaxml.models.autoregressive.language.decoding import sample, sample_and_log_prob
from jaxml.models.autoregressive.language.model import (
    Decoder,
    LanguageModel,
    log_prob,
    log_prob_by_token,
    loss,
    until,
)

__all__ = [
    "Beams",
    "Decoder",
    "LanguageModel",
    "beam_search",
    "log_prob",
    "log_prob_by_token",
    "loss",
    "sample",
    "sample_and_log_prob",
    "until",
]
