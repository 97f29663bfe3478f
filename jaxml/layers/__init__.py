# SPDX-License-Identifier: Apache-2.0
"""Layer mathematics: arrays in, arrays out."""

from jaxml.layers.conv_general_dilated import conv_general_dilated
from jaxml.layers.convolution import convolution, transposed_convolution
from jaxml.layers.convolution_geometry import (
    causal,
    convolution_size,
    same,
    transposed_convolution_size,
    valid,
)

__all__ = [
    "causal",
    "conv_general_dilated",
    "convolution",
    "convolution_size",
    "same",
    "transposed_convolution",
    "transposed_convolution_size",
    "valid",
]
