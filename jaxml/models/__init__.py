# SPDX-License-Identifier: Apache-2.0
"""The families: one module each, with its losses, density and sampler."""

from jaxml.models import (
    autoregressive,
    bernoulli_mixture,
    binomial_diffusion,
    diffusion,
    energy,
    flow,
    gan,
    hmm,
    ising,
    masked_diffusion,
    mixture,
    vae,
    vqvae,
)

__all__ = [
    "autoregressive",
    "bernoulli_mixture",
    "binomial_diffusion",
    "diffusion",
    "energy",
    "flow",
    "gan",
    "hmm",
    "ising",
    "masked_diffusion",
    "mixture",
    "vae",
    "vqvae",
]
