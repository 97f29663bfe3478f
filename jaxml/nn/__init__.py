# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.convolution import Conv, ConvTranspose
from jaxml.nn.flat import Flat, flat
from jaxml.nn.gated import GatedMLP
from jaxml.nn.mlp import MLP, ResidualMLP
from jaxml.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up
from jaxml.nn.recurrence import Recurrent, RecurrentLayer

__all__ = [
    "MLP",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Down",
    "Flat",
    "GatedMLP",
    "GroupNorm",
    "ImageDecoder",
    "ImageEncoder",
    "LayerNorm",
    "RMSNorm",
    "Recurrent",
    "RecurrentLayer",
    "ResidualMLP",
    "Up",
    "flat",
]
