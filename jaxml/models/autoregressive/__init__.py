# SPDX-License-Identifier: Apache-2.0
"""Autoregressive models, p(x) = Π p(x_i | x_<i): `pixel` for images."""

from jaxml.models.autoregressive import pixel

__all__ = ["pixel"]
