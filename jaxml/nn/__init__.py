# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.autoregressive import Autoregressive
from jaxml.nn.composed import Chain, Constant, Inverted, Learned, Stack
from jaxml.nn.convolution import Conv, ConvTranspose
from jaxml.nn.coupling import Coupling, MaskedCoupling
from jaxml.nn.elementwise import Elementwise
from jaxml.nn.flat import Flat, flat
from jaxml.nn.gated import GatedMLP
from jaxml.nn.masked import MADE
from jaxml.nn.mlp import MLP, ResidualMLP
from jaxml.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up
from jaxml.nn.recurrence import Recurrent, RecurrentLayer

__all__ = [
    "MADE",
    "MLP",
    "Autoregressive",
    "BatchNorm",
    "Chain",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Coupling",
    "Down",
    "Elementwise",
    "Flat",
    "GatedMLP",
    "GroupNorm",
    "ImageDecoder",
    "ImageEncoder",
    "Inverted",
    "LayerNorm",
    "Learned",
    "MaskedCoupling",
    "RMSNorm",
    "Recurrent",
    "RecurrentLayer",
    "ResidualMLP",
    "Stack",
    "Up",
    "flat",
]
