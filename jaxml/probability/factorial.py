# SPDX-License-Identifier: Apache-2.0
"""Factorials and their ratios, as logarithms whose large parts cancel before they are computed."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def stirling_remainder(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x! − (x log x − x) for x ≥ 0: ½ log 2πx + 1/(12x) − ..., and 0 at 0.

    What is left of log x! after its large part, whose digits would be lost in differences.

    Reference: Abramowitz and Stegun 1964, equation 6.1.41.
    """
    least = 12 if jnp.finfo(x.dtype).bits == 64 else 3  # six terms are exact from here on
    few = x < least
    safe = jnp.where(few & (x > 0), x, 1)
    # log x! = log (x + k)! − Σ log(x + i): XLA's lgamma loses a digit near 1.
    y = jnp.where(few, safe + least, x)
    inverse = 1 / y
    square, series = inverse * inverse, jnp.full_like(x, -691 / 360360)
    for term in (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + term
    far = 0.5 * (math.log(2 * math.pi) - jnp.log(inverse)) + series * inverse
    shares = math.prod((safe + i) / (safe + least) for i in range(1, least))
    near = safe * (jnp.log(y) - jnp.log(safe)) - jnp.log(shares) - least + far
    return jnp.where(few, jnp.where(x == 0, 0.0, near), far)
