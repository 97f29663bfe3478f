# SPDX-License-Identifier: Apache-2.0
"""The families: one module each, with its losses, density and sampler."""

from jaxml.models import vae, vqvae

__all__ = ["vae", "vqvae"]
