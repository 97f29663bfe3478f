# SPDX-License-Identifier: Apache-2.0
"""Averages of random values, never without their standard error."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Estimate(NamedTuple):
    """A sample mean and its standard error, s/√n."""

    mean: Float[Array, "..."]
    standard_error: Float[Array, "..."]


def estimate(values: Float[Array, "n ..."]) -> Estimate:
    """E[f] ≈ (1/n) Σ f_i with standard error √(Σ(f_i − mean)² / (n(n − 1))), over the first axis.

    Raises:
      ValueError: fewer than two values, from which no spread can be told.
    """
    n = values.shape[0]
    if n < 2:
        raise ValueError(f"values: a standard error needs at least 2 values, got {n}")
    return Estimate(jnp.mean(values, axis=0), jnp.std(values, axis=0, ddof=1) / n**0.5)
