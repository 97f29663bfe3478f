# SPDX-License-Identifier: Apache-2.0
"""Per-example costs; likelihoods and divergences in nats."""

from jaxml.losses import (
    classification,
    divergence,
    likelihood,
    negative_log_likelihood,
    penalty,
    quantization,
    regression,
    variational,
)

__all__ = [
    "classification",
    "divergence",
    "likelihood",
    "negative_log_likelihood",
    "penalty",
    "quantization",
    "regression",
    "variational",
]
