# SPDX-License-Identifier: Apache-2.0
"""The first two moments of a gradient, which Adam and its kin divide by each other."""

import jax.numpy as jnp

from jaxml.types import Array

Moments = dict[str, Array]
"""`mean` m and `square` v of one leaf."""


def at_zero(p: Array) -> Moments:
    """m = v = 0."""
    return {"mean": jnp.zeros_like(p), "square": jnp.zeros_like(p)}


def follow(g: Array, slots: Moments, b1: float, b2: float) -> tuple[Array, Array]:
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g².

    Args:
      g: gradient.
      slots: m and v before.
      b1: β₁.
      b2: β₂.
    """
    m = b1 * slots["mean"] + (1 - b1) * g
    return m, b2 * slots["square"] + (1 - b2) * jnp.square(g)
