# SPDX-License-Identifier: Apache-2.0
"""Quadratic features: what a linear model needs to see products."""

import numpy as np
from jaxtyping import Float

from jaxml.types import Array


def quadratic_features(x: Float[Array, "*batch d"]) -> Float[Array, "*batch d*(d+1)/2"]:
    """(xᵢ xⱼ) for i ≤ j, in the order (1, 1), (1, 2), …, (2, 2), …: each product once.

    A linear map of them is a quadratic form xᵀAx. The squares x ⊙ x alone give a diagonal A: no
    linear map of them holds x₁x₂.

    Args:
      x: d numbers an example.
    """
    i, j = np.triu_indices(x.shape[-1])
    return x[..., i] * x[..., j]
