# SPDX-License-Identifier: Apache-2.0
"""Autoregressive models, p(x) = Π p(x_i | x_<i): `language` for sequences, `pixel` for images."""

from jaxml.models.autoregressive import language, pixel

__all__ = ["language", "pixel"]
