# SPDX-License-Identifier: Apache-2.0
"""Normalizing flows: `flow.loss(model, batch, key)`, `flow.log_prob`, `flow.sample`, ..."""

from jaxml.models.flow import dequantized
from jaxml.models.flow.continuous import ffjord, ffjord_loss
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
    residual,
    scale,
)
from jaxml.models.flow.dequantized import Dequantized
from jaxml.models.flow.distribution import Base, Mixture, Normal, StudentT, Uniform
from jaxml.models.flow.image import (
    from_unit_interval,
    glow,
    glow_step,
    multiscale_real_nvp,
    noise,
)
from jaxml.models.flow.model import (
    Flow,
    encode,
    generate,
    log_prob,
    loss,
    reverse_loss,
    sample,
    sample_and_log_prob,
    start,
)

__all__ = [
    "Base",
    "Dequantized",
    "Flow",
    "Mixture",
    "Normal",
    "StudentT",
    "Uniform",
    "autoregressive",
    "coupling",
    "dequantized",
    "encode",
    "ffjord",
    "ffjord_loss",
    "from_unit_interval",
    "generate",
    "glow",
    "glow_step",
    "iaf",
    "log_prob",
    "loss",
    "maf",
    "mixing",
    "multiscale_real_nvp",
    "neural_spline",
    "nice",
    "noise",
    "planar",
    "real_nvp",
    "residual",
    "reverse_loss",
    "sample",
    "sample_and_log_prob",
    "scale",
    "start",
]
