# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.gated import GatedMLP
from jaxml.nn.mlp import MLP, ResidualMLP

__all__ = ["MLP", "GatedMLP", "ResidualMLP"]
