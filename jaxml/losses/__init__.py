# SPDX-License-Identifier: Apache-2.0
"""Per-example costs; likelihoods and divergences in nats."""

from jaxml.losses import (
    adversarial,
    classification,
    contrastive,
    critic_penalty,
    likelihood,
    negative_log_likelihood,
    penalty,
    quantization,
    regression,
    score_matching,
    variational,
)
from jaxml.probability import divergence

__all__ = [
    "adversarial",
    "classification",
    "contrastive",
    "critic_penalty",
    "divergence",
    "likelihood",
    "negative_log_likelihood",
    "penalty",
    "quantization",
    "regression",
    "score_matching",
    "variational",
]
