# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.attention import SelfAttention
from jaxml.nn.autoregressive import Autoregressive
from jaxml.nn.causal_conv import CausalConv
from jaxml.nn.composed import Chain, Constant, Inverted, Learned, Stack
from jaxml.nn.continuous import Continuous
from jaxml.nn.convolution import Conv, ConvTranspose
from jaxml.nn.coupling import Coupling, MaskedCoupling
from jaxml.nn.data_dependent import ActNorm, start
from jaxml.nn.dit import DiT
from jaxml.nn.elementwise import Elementwise
from jaxml.nn.field import ConcatSquash, VectorField
from jaxml.nn.flat import Flat, flat
from jaxml.nn.gated import GatedMLP
from jaxml.nn.gated_pixel_cnn import GatedBlock, GatedPixelCNN
from jaxml.nn.image_input import FourierInput, Unshuffled
from jaxml.nn.image_network import PointwiseNet, ResidualNet
from jaxml.nn.invertible_residual import InvertibleResidual, LipschitzMLP
from jaxml.nn.learned_schedule import LearnedSchedule
from jaxml.nn.masked import MADE
from jaxml.nn.mlp import MLP, ResidualMLP
from jaxml.nn.nade import NADE
from jaxml.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from jaxml.nn.pixel_cnn import PixelBlock, PixelCNN
from jaxml.nn.projection import Projection
from jaxml.nn.pyramid import Down, ImageDecoder, ImageEncoder, Up
from jaxml.nn.recurrence import Recurrent, RecurrentLayer
from jaxml.nn.residual_image import Downsample, ImageAttention, TimedResidualBlock, Upsample
from jaxml.nn.row_conv import RowConv
from jaxml.nn.scales import MultiScale, Squeezed
from jaxml.nn.spectral import Spectral, refresh, spectral
from jaxml.nn.time import TimeEmbedding, TimeMLP
from jaxml.nn.token_recurrent import TokenRecurrent
from jaxml.nn.transformer import Transformer
from jaxml.nn.transformer_block import AdaptiveNorm, TransformerBlock, TransformerStack
from jaxml.nn.unet import UNet

__all__ = [
    "MADE",
    "MLP",
    "NADE",
    "ActNorm",
    "AdaptiveNorm",
    "Autoregressive",
    "BatchNorm",
    "CausalConv",
    "Chain",
    "ConcatSquash",
    "Constant",
    "Continuous",
    "Conv",
    "ConvTranspose",
    "Coupling",
    "DiT",
    "Down",
    "Downsample",
    "Elementwise",
    "Flat",
    "FourierInput",
    "GatedBlock",
    "GatedMLP",
    "GatedPixelCNN",
    "GroupNorm",
    "ImageAttention",
    "ImageDecoder",
    "ImageEncoder",
    "Inverted",
    "InvertibleResidual",
    "LayerNorm",
    "Learned",
    "LearnedSchedule",
    "LipschitzMLP",
    "MaskedCoupling",
    "MultiScale",
    "PixelBlock",
    "PixelCNN",
    "PointwiseNet",
    "Projection",
    "RMSNorm",
    "Recurrent",
    "RecurrentLayer",
    "ResidualMLP",
    "ResidualNet",
    "RowConv",
    "SelfAttention",
    "Spectral",
    "Squeezed",
    "Stack",
    "TimeEmbedding",
    "TimeMLP",
    "TimedResidualBlock",
    "TokenRecurrent",
    "Transformer",
    "TransformerBlock",
    "TransformerStack",
    "UNet",
    "Unshuffled",
    "Up",
    "Upsample",
    "VectorField",
    "flat",
    "refresh",
    "spectral",
    "start",
]
