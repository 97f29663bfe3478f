# SPDX-License-Identifier: Apache-2.0
"""Variational autoencoders: `vae.loss(model, batch, key)`, `vae.elbo`, `vae.sample`, ..."""

from jaxml.models.vae.evidence import active_units, activity, kl_per_dimension, log_likelihood
from jaxml.models.vae.latent import (
    direction,
    encode,
    generate,
    interpolate_linear,
    interpolate_spherical,
    reconstruct,
    sample,
)
from jaxml.models.vae.model import VAE, Posterior, conditional_log_prob, decode, posterior
from jaxml.models.vae.network import SharedVariance, convolutional, mlp
from jaxml.models.vae.objective import (
    Elbo,
    dreg_loss,
    elbo,
    iwae,
    iwae_loss,
    log_weight,
    loss,
)

__all__ = [
    "VAE",
    "Elbo",
    "Posterior",
    "SharedVariance",
    "active_units",
    "activity",
    "conditional_log_prob",
    "convolutional",
    "decode",
    "direction",
    "dreg_loss",
    "elbo",
    "encode",
    "generate",
    "interpolate_linear",
    "interpolate_spherical",
    "iwae",
    "iwae_loss",
    "kl_per_dimension",
    "log_likelihood",
    "log_weight",
    "loss",
    "mlp",
    "posterior",
    "reconstruct",
    "sample",
]
