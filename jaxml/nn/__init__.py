# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.autoregressive import Autoregressive
from jaxml.nn.composed import Chain, Constant, Inverted, Learned, Stack
from jaxml.nn.continuous import Continuous
from jaxml.nn.convolution import Conv, ConvTranspose
from jaxml.nn.coupling import Coupling, MaskedCoupling
from jaxml.nn.data_dependent import ActNorm, start
from jaxml.nn.elementwise import Elementwise
from jaxml.nn.field import ConcatSquash, VectorField
from jaxml.nn.flat import Flat, flat
from jaxml.nn.gated import GatedMLP
from jaxml.nn.image_network import PointwiseNet, ResidualNet
from jaxml.nn.invertible_residual import InvertibleResidual, LipschitzMLP
from jaxml.nn.masked import MADE
from jaxml.nn.mlp import MLP, ResidualMLP
from jaxml.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up
from jaxml.nn.recurrence import Recurrent, RecurrentLayer
from jaxml.nn.scales import MultiScale, Squeezed

__all__ = [
    "MADE",
    "MLP",
    "ActNorm",
    "Autoregressive",
    "BatchNorm",
    "Chain",
    "ConcatSquash",
    "Constant",
    "Continuous",
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
    "InvertibleResidual",
    "LayerNorm",
    "Learned",
    "LipschitzMLP",
    "MaskedCoupling",
    "MultiScale",
    "PointwiseNet",
    "RMSNorm",
    "Recurrent",
    "RecurrentLayer",
    "ResidualMLP",
    "ResidualNet",
    "Squeezed",
    "Stack",
    "Up",
    "VectorField",
    "flat",
    "start",
]
