# SPDX-License-Identifier: Apache-2.0
"""The families: one module each, with its losses, density and sampler."""

from jaxml.models import flow, vae, vqvae

__all__ = ["flow", "vae", "vqvae"]
