# SPDX-License-Identifier: Apache-2.0
"""Autoregressive models, p(x) = Π p(x_i | x_<i): `language` for sequences, `rows`, and `pixel`."""

from jaxml.models.autoregressive import language, pixel, rows

__all__ = ["language", "pixel", "rows"]
