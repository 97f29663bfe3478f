# SPDX-License-Identifier: Apache-2.0
"""Layer mathematics: arrays in, arrays out."""

from jaxml.layers import activation, embedding, masking, padding, pooling, upsampling
from jaxml.layers.attention import attention
from jaxml.layers.attention_cache import Cache, empty_cache, extend_cache
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
from jaxml.layers.dropout import dropout
from jaxml.layers.gru import GRU, gru, gru_cell
from jaxml.layers.lstm import LSTM, LSTMState, lstm, lstm_cell
from jaxml.layers.normalization import group_norm, instance_norm, layer_norm, rms_norm
from jaxml.layers.patches import kernel_matrix, patches
from jaxml.layers.quadratic import quadratic_features
from jaxml.layers.recurrence import bidirectional
from jaxml.layers.rotary import rotary
from jaxml.layers.simple_recurrence import RNN, rnn, rnn_cell
from jaxml.layers.weight_normalization import (
    SpectralNorm,
    spectral_bound,
    spectral_norm,
    weight_norm,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm",
    "Cache",
    "LSTMState",
    "SpectralNorm",
    "activation",
    "attention",
    "batch_norm",
    "batch_norm_evaluation",
    "bidirectional",
    "causal",
    "conv_general_dilated",
    "convolution",
    "convolution_size",
    "dropout",
    "embedding",
    "empty_cache",
    "extend_cache",
    "group_norm",
    "gru",
    "gru_cell",
    "instance_norm",
    "kernel_matrix",
    "layer_norm",
    "lstm",
    "lstm_cell",
    "masking",
    "padding",
    "patches",
    "pooling",
    "quadratic_features",
    "rms_norm",
    "rnn",
    "rnn_cell",
    "rotary",
    "same",
    "spectral_bound",
    "spectral_norm",
    "transposed_convolution",
    "transposed_convolution_size",
    "upsampling",
    "valid",
    "weight_norm",
]
