# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.flat import Flat, flat
from jaxml.nn.gated import GatedMLP
from jaxml.nn.mlp import MLP, ResidualMLP
from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up

__all__ = [
    "MLP",
    "Down",
    "Flat",
    "GatedMLP",
    "ImageDecoder",
    "ImageEncoder",
    "ResidualMLP",
    "Up",
    "flat",
]
