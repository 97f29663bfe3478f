# SPDX-License-Identifier: Apache-2.0
"""Layer mathematics: arrays in, arrays out."""

from jaxml.layers.batch_normalization import BatchNorm, batch_norm, batch_norm_evaluation
from jaxml.layers.conv_general_dilated import conv_general_dilated
from jaxml.layers.convolution import convolution, transposed_convolution
from jaxml.layers.convolution_geometry import (
    causal,
    convolution_size,
    same,
    transposed_convolution_size,
    valid,
)
from jaxml.layers.normalization import group_norm, instance_norm, layer_norm, rms_norm
from jaxml.layers.weight_normalization import SpectralNorm, spectral_norm, weight_norm

__all__ = [
    "BatchNorm",
    "SpectralNorm",
    "batch_norm",
    "batch_norm_evaluation",
    "causal",
    "conv_general_dilated",
    "convolution",
    "convolution_size",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "rms_norm",
    "same",
    "spectral_norm",
    "transposed_convolution",
    "transposed_convolution_size",
    "valid",
    "weight_norm",
]
