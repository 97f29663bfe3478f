# SPDX-License-Identifier: Apache-2.0
"""Per-example costs, in nats."""

from jaxml.losses import likelihood, quantization, variational

__all__ = ["likelihood", "quantization", "variational"]
