# SPDX-License-Identifier: Apache-2.0
"""Normalizing flows: `flow.loss(model, batch, key)`, `flow.log_prob`, `flow.sample`, ..."""

from jaxml.models.flow.dense import (
    autoregressive,
    coupling,
    iaf,
    maf,
    mixing,
    neural_spline,
    nice,
    planar,
    real_nvp,
    scale,
)
from jaxml.models.flow.distribution import Base, Mixture, Normal, StudentT, Uniform
from jaxml.models.flow.model import (
    Flow,
    encode,
    generate,
    log_prob,
    loss,
    reverse_loss,
    sample,
    sample_and_log_prob,
)

__all__ = [
    "Base",
    "Flow",
    "Mixture",
    "Normal",
    "StudentT",
    "Uniform",
    "autoregressive",
    "coupling",
    "encode",
    "generate",
    "iaf",
    "log_prob",
    "loss",
    "maf",
    "mixing",
    "neural_spline",
    "nice",
    "planar",
    "real_nvp",
    "reverse_loss",
    "sample",
    "sample_and_log_prob",
    "scale",
]
