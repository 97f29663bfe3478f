# SPDX-License-Identifier: Apache-2.0
"""Autoregressive models, p(x) = Π p(x_i | x_<i).

`language` for sequences of tokens, `rows` for tables, `frames` for sequences of rows, `pixel` for
images.
"""

from jaxml.models.autoregressive import frames, language, pixel, rows

__all__ = ["frames", "language", "pixel", "rows"]
