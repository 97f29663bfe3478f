# SPDX-License-Identifier: Apache-2.0
"""Flax modules that own parameters."""

from jaxml.nn.mlp import MLP, ResidualMLP

__all__ = ["MLP", "ResidualMLP"]
